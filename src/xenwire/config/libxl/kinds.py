"""The kinds of fields that libxl's structs have, and the Python values that stand for them.

`check(value)` gives the value in its normal form (lists become tuples, an all-zero uuid None) or raises
BadValue. What a kind looks like in JSON is said in `json_writer`, `json_reader` and `schema`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, get_args

if TYPE_CHECKING:
    import uuid
    from types import UnionType

    from xenwire.config.libxl.struct import Enumeration, Struct
    from xenwire.config.libxl.version import XenVersion

__all__ = [
    "BITMAP",
    "BOOL",
    "DEFBOOL",
    "DEVID",
    "DOMID",
    "HWCAP",
    "INT",
    "KEY_VALUE_LIST",
    "KIB",
    "MAC",
    "MAX_BIT",
    "MS_VM_GENID",
    "STRING",
    "STRING_LIST",
    "UINT8",
    "UINT16",
    "UINT32",
    "UINT64",
    "UUID",
    "ArrayOf",
    "BadValue",
    "Bitmap",
    "Bool",
    "Defbool",
    "EnumOf",
    "Hwcap",
    "Integer",
    "KeyValueList",
    "Kib",
    "Kind",
    "Mac",
    "MsVmGenid",
    "String",
    "StringList",
    "StructOf",
    "UnionOf",
    "Uuid",
]

MAX_BIT: Final = 2**31 - 2
"""The last bit of a bitmap: libxl counts bits in a C int."""


class BadValue(ValueError):
    """A value that a field cannot have. `path` names the place in the struct, outermost part first."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path: list[str | int] = []

    @property
    def place(self) -> str:
        """The path as text: `.disks[2].format`."""
        return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path)


class Kind:
    """What the kinds have in common."""

    __slots__ = ()

    def check(self, value: Any) -> Any:
        """Give the normal form of a value. Raises BadValue."""
        return value


class Integer(Kind):
    """A whole number from `low` to `high`, as int."""

    __slots__ = ("high", "low")

    def __init__(self, low: int, high: int) -> None:
        self.low = low
        self.high = high

    def check(self, value: Any) -> int:
        """Give an int. Raises BadValue."""
        if not isinstance(value, int) or isinstance(value, bool):
            raise BadValue(f"{_short(value)} is not a whole number")
        if not self.low <= value <= self.high:
            raise BadValue(f"{_short(value)} is not between {self.low} and {self.high}")
        return int(value)


class Kib(Integer):
    """A size in KiB, as int; None leaves it to libxl (it writes 2^64-1, its LIBXL_MEMKB_DEFAULT)."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(0, 2**64 - 2)

    def check(self, value: Any) -> int | None:  # type: ignore[override]  # None is a size as well
        """Give an int or None. Raises BadValue."""
        return None if value is None or value == 2**64 - 1 else super().check(value)


class Bool(Kind):
    """Yes or no, as bool."""

    __slots__ = ()

    def check(self, value: Any) -> bool:
        """Give a bool. Raises BadValue."""
        if value is True or value is False:
            return value
        raise BadValue(f"{_short(value)} is neither true nor false")


class Defbool(Kind):
    """Yes, no, or left to libxl, as True, False or None."""

    __slots__ = ()

    def check(self, value: Any) -> bool | None:
        """Give a bool or None. Raises BadValue."""
        if value is None or value is True or value is False:
            return value
        raise BadValue(f"{_short(value)} is neither true, false nor none")


class String(Kind):
    """Text, or None for a null pointer. Bytes that are not UTF-8 are kept as surrogate escapes."""

    __slots__ = ()

    def check(self, value: Any) -> str | None:
        """Give a str or None. Raises BadValue for a NUL, and for text that no bytes stand for."""
        return None if value is None else _text(value)


class EnumOf(Kind):
    """A member of one enumeration; None for the number 0 where it has no name."""

    __slots__ = ("type",)

    def __init__(self, enumeration: type[Enumeration]) -> None:
        self.type = enumeration

    def check(self, value: Any) -> Enumeration:
        """Give a member. Raises BadValue."""
        if isinstance(value, self.type):
            return value
        raise BadValue(f"{_short(value)} is no {self.type.__name__}")


class Uuid(Kind):
    """A uuid.UUID; None if all bits are zero."""

    __slots__ = ()

    def check(self, value: Any) -> uuid.UUID | None:
        """Give a UUID or None. Raises BadValue."""
        import uuid  # the module takes as long to load as all of ours

        if value is None:
            return None
        if isinstance(value, uuid.UUID):
            return value if value.int else None
        raise BadValue(f"{_short(value)} is no UUID")


class Mac(Kind):
    """An Ethernet address as text, in small letters: `00:16:3e:01:02:03`; None if all bits are zero."""

    __slots__ = ()

    def check(self, value: Any) -> str | None:
        """Give a str or None. Raises BadValue."""
        if value is None:
            return None
        if isinstance(value, str) and re.fullmatch(r"[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5}", value):
            return None if value == "00:00:00:00:00:00" else value.lower()
        raise BadValue(f"{_short(value)} is no Ethernet address such as 00:16:3e:01:02:03")


class Bitmap(Kind):
    """The numbers of the bits that are set, as frozenset."""

    __slots__ = ()

    def check(self, value: Any) -> frozenset[int]:
        """Give a frozenset. Raises BadValue."""
        return frozenset(_BIT.check(bit) for bit in _items(value))


class StringList(Kind):
    """A list of texts, as tuple."""

    __slots__ = ()

    def check(self, value: Any) -> tuple[str, ...]:
        """Give a tuple. Raises BadValue."""
        return tuple(_text(text) for text in _items(value))


class KeyValueList(Kind):
    """A list of keys with values, as tuple of pairs; a value may be None. libxl lets keys repeat."""

    __slots__ = ()

    def check(self, value: Any) -> tuple[tuple[str, str | None], ...]:
        """Give a tuple of pairs, also from a dict. Raises BadValue."""
        pairs = value.items() if isinstance(value, dict) else _items(value)
        return tuple((_text(key), STRING.check(text)) for key, text in map(_pair, pairs))


class MsVmGenid(Kind):
    """Microsoft's VM generation id, as 16 bytes; None if all are zero."""

    __slots__ = ()

    def check(self, value: Any) -> bytes | None:
        """Give bytes or None. Raises BadValue."""
        if value is None:
            return None
        if isinstance(value, bytes) and len(value) == 16:
            return value if any(value) else None
        raise BadValue(f"{_short(value)} is not 16 bytes")


class Hwcap(Kind):
    """The first four words of the processor's capabilities, as tuple."""

    __slots__ = ()

    def check(self, value: Any) -> tuple[int, ...]:
        """Give four numbers. Raises BadValue."""
        words = tuple(UINT32.check(word) for word in _items(value))
        if len(words) != 4:
            raise BadValue(f"{_short(value)} is not four numbers")
        return words


class ArrayOf(Kind):
    """Items of one kind, as tuple."""

    __slots__ = ("item",)

    def __init__(self, item: Kind) -> None:
        self.item = item

    def check(self, value: Any) -> tuple[Any, ...]:
        """Give a tuple. Raises BadValue."""
        check = self.item.check
        return tuple([check(item) for item in _items(value)])


class StructOf(Kind):
    """A struct inside another."""

    __slots__ = ("type",)

    def __init__(self, struct: type[Struct]) -> None:
        self.type = struct

    def check(self, value: Any) -> Struct:
        """Give the struct. Raises BadValue."""
        if type(value) is self.type:
            return value
        raise BadValue(f"{_short(value)} is no {self.type.__name__}")


class UnionOf(Kind):
    """One of several structs. Each of them belongs to one member of an enumeration, its `KEY`."""

    __slots__ = ("types",)

    def __init__(self, union: UnionType | type[Struct]) -> None:
        self.types: tuple[type[Struct], ...] = get_args(union) or (union,)

    def check(self, value: Any) -> Struct:
        """Give the struct. Raises BadValue."""
        if isinstance(value, self.types):
            return value
        raise BadValue(f"{_short(value)} is no {' or '.join(struct.__name__ for struct in self.types)}")

    def keys(self, name: str, version: XenVersion) -> dict[str, type[Struct]]:
        """Give the structs by their keys in the JSON of a version, `connection.pty`, in libxl's order."""
        return {
            f"{name}.{struct.KEY.json}": struct
            for struct in self.types
            if struct.KEY is not None and version.knows(struct.SINCE)
        }


_BIT: Final = Integer(0, MAX_BIT)

INT: Final = Integer(-(2**31), 2**31 - 1)
UINT8: Final = Integer(0, 2**8 - 1)
UINT16: Final = Integer(0, 2**16 - 1)
UINT32: Final = Integer(0, 2**32 - 1)
UINT64: Final = Integer(0, 2**64 - 1)
DOMID: Final = UINT32
"""A domain id. 4294967295 stands for an invalid one, or for any domain."""
DEVID: Final = INT
"""The number of a device; -1 leaves it to libxl."""
KIB: Final = Kib()
BOOL: Final = Bool()
DEFBOOL: Final = Defbool()
STRING: Final = String()
UUID: Final = Uuid()
MAC: Final = Mac()
BITMAP: Final = Bitmap()
STRING_LIST: Final = StringList()
KEY_VALUE_LIST: Final = KeyValueList()
MS_VM_GENID: Final = MsVmGenid()
HWCAP: Final = Hwcap()


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise BadValue(f"{_short(value)} is not text")
    if "\0" in value:
        raise BadValue(f"{_short(value)} has a NUL character in it")
    if not value.isascii():
        try:
            value.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as error:
            raise BadValue(f"{_short(value)} has half of a surrogate pair in it") from error
    return value


def _items(value: Any) -> Iterable[Any]:
    if isinstance(value, (list, tuple, set, frozenset, range)):
        return value
    raise BadValue(f"{_short(value)} is not a list")


def _pair(value: Any) -> tuple[Any, Any]:
    if isinstance(value, tuple) and len(value) == 2:
        return value
    raise BadValue(f"{_short(value)} is not a pair of a key and a value")


def _short(value: Any) -> str:
    """Show a value that may be of any type and size."""
    if isinstance(value, int) and value.bit_length() > 100:
        return "this number"
    text = ascii(value) if isinstance(value, (str, bytes, int, float, type(None))) else type(value).__name__
    return text if len(text) <= 60 else f"{text[:59]}…"
