"""Reading payloads: how many strings each request has, and what its paths, numbers and permissions may be.

All functions raise Refused EINVAL for what they do not accept.
"""

from __future__ import annotations

import re
from typing import Final

from xenwire.errors import UsageError
from xenwire.types import StorePath
from xenwire.xenstore.perms import Permissions
from xenwire.xenstored.connection import Connection
from xenwire.xenstored.refusal import Refused

__all__ = ["canonical", "cut", "domid", "number", "permissions", "single", "strings"]

_HOME: Final = re.compile(r"/local/domain/[0-9]{1,5}/")
_MAX_PATH: Final = 3072
"""Bytes in an absolute path, for everybody (xs_wire.h: XENSTORE_ABS_PATH_MAX)."""


def strings(payload: bytes, least: int, most: int | None = None) -> list[bytes]:
    """Give the NUL-terminated strings, at least and at most so many; what follows the last is ignored."""
    *found, _ = payload.split(b"\0")
    if len(found) < least or (most is not None and len(found) > most):
        raise Refused("EINVAL")
    return found


def single(payload: bytes) -> bytes:
    """Give the one string that is the whole payload."""
    text, nul, rest = payload.partition(b"\0")
    if not nul or rest:
        raise Refused("EINVAL")
    return text


def cut(payload: bytes) -> tuple[bytes, bytes]:
    """Give the first string, and all bytes after its NUL."""
    text, nul, rest = payload.partition(b"\0")
    if not nul:
        raise Refused("EINVAL")
    return text, rest


def number(text: bytes) -> int:
    """Read a decimal number; an empty string is 0, as in C xenstored."""
    if not re.fullmatch(rb"[0-9]{0,20}", text):
        raise Refused("EINVAL")
    return int(text or b"0")


def domid(text: bytes) -> int:
    """Read a domain id of 16 bits."""
    value = number(text)
    if value > 0xFFFF:
        raise Refused("EINVAL")
    return value


def permissions(texts: list[bytes]) -> Permissions:
    """Read permissions, the owner's first.

    A leading zero is refused: C xenstored would read the number as octal.
    """
    if any(re.match(rb".0[0-9]", text) for text in texts):
        raise Refused("EINVAL")
    try:
        return Permissions.parse(*(text.decode("latin-1") for text in texts))
    except UsageError:
        raise Refused("EINVAL") from None


def canonical(text: bytes, connection: Connection, *, special: bool = False) -> str:
    """Give the absolute path that a client means.

    What starts with neither `/` nor `@` is below its domain's home; `@…` is a special node, legal only
    where `special` says so. The length is checked last, so that a relative path cannot get around it.
    """
    try:
        path = str(StorePath(text.decode("latin-1")))
    except UsageError:
        raise Refused("EINVAL") from None
    if path[0] == "@":
        if not special:
            raise Refused("EINVAL")
    elif path[0] != "/":
        path = f"/local/domain/{connection.domid}/{path}"
    if len(path) > _MAX_PATH:
        raise Refused("EINVAL")
    if limit := connection.quotas.path_max:
        home = _HOME.match(path)
        if len(path) - (home.end() if home else 0) > limit:
            raise Refused("EINVAL")
    return path
