"""Values as Xen's own tools print them and take them on their command line. Pure.

Printable ASCII stands for itself, other bytes are escaped (xen: tools/xs-clients/xenstore_client.c).
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["escape", "unescape"]

_NAMED: Final = {ord("\t"): "\\t", ord("\n"): "\\n", ord("\r"): "\\r", ord("\\"): "\\\\"}
_ESCAPE: Final = re.compile(rb"\\(?:x([0-9a-fA-F]{1,2})|([0-7]{1,3})|(.))", re.DOTALL)
_CONTROLS: Final = {b"t": b"\t", b"n": b"\n", b"r": b"\r"}


def escape(value: bytes) -> str:
    """Give a value as printable ASCII: `\\t`, `\\n`, `\\r`, `\\\\`, `\\003` below 8, `\\x1f` for the rest."""
    return "".join(map(_escaped, value))


def unescape(text: str) -> bytes:
    """Give the value that `escape` made the text of; characters beyond ASCII stand for their UTF-8."""
    return _ESCAPE.sub(_unescaped, text.encode(errors="surrogateescape"))


def _escaped(byte: int) -> str:
    if byte in _NAMED:
        return _NAMED[byte]
    if 0x20 <= byte <= 0x7E:
        return chr(byte)
    return f"\\{byte:03o}" if byte < 8 else f"\\x{byte:02x}"


def _unescaped(match: re.Match[bytes]) -> bytes:
    hexadecimal, octal, other = match.groups()
    if hexadecimal:
        return bytes([int(hexadecimal, 16)])
    if octal:
        return bytes([int(octal, 8) & 0xFF])
    return _CONTROLS.get(other, other)
