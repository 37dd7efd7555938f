"""The language of xl.cfg, written: texts, numbers and lists (xen: tools/libs/util/libxlu_cfg_l.l)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

__all__ = ["Value", "setting"]

Value = str | int | Sequence["Value"]
"""What a key can be set to. Booleans are numbers."""

_ESCAPES: Final = {
    ord(character): f"\\{letter}" for character, letter in zip('\\"\a\b\f\n\r\t\v', '\\"abfnrtv', strict=True)
}


def setting(key: str, value: Value) -> str:
    """Give the line, or the lines, that set a key. Surrogates stand for bytes that are not UTF-8."""
    if isinstance(value, (str, int)) or len(value) < 2:
        return f"{key} = {_written(value)}\n"
    items = "".join(f"    {_written(item)},\n" for item in value)
    return f"{key} = [\n{items}]\n"


def _written(value: Value) -> str:
    if isinstance(value, str):
        return f'"{value.translate(_ESCAPES)}"'
    if isinstance(value, int):
        return str(int(value)) if value >= 0 else f'"{value}"'
    return f"[ {', '.join(map(_written, value))} ]" if value else "[]"
