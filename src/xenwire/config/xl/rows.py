"""Keys as rows of a table, in the order in which xl reads them (xen: tools/xl/xl_parse.c).

A regular row copies a value into a field of one of libxl's structs; an irregular one has a function. A row
knows its keys and their kinds: T text, N number, B boolean (a number), L list.
"""

from __future__ import annotations

import enum
import functools
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from xenwire.config.diagnostics import shown
from xenwire.config.libxl.struct import Enumeration
from xenwire.config.libxl.types import DomainType
from xenwire.config.libxl.version import XenVersion
from xenwire.config.numbers import int32, uint32, uint64
from xenwire.config.xl.reader import Reader

__all__ = [
    "Draft",
    "Part",
    "Row",
    "Table",
    "boolean",
    "choice",
    "choose",
    "choose_or_number",
    "function",
    "integer",
    "mebibytes",
    "only",
    "text",
    "unsigned",
]


Word = TypeVar("Word", bound=Enumeration)


class Part(enum.StrEnum):
    """The structs of libxl that take the values of keys."""

    CONFIG = enum.auto()
    """domain_config itself."""
    C_INFO = enum.auto()
    B_INFO = enum.auto()
    SCHED_PARAMS = enum.auto()
    ARCH_ARM = enum.auto()
    ARCH_X86 = enum.auto()
    GUEST = enum.auto()
    """The member of the union in b_info: "type.hvm", "type.pv" or "type.pvh"."""
    VGA = enum.auto()
    VNC = enum.auto()
    SDL = enum.auto()
    SPICE = enum.auto()


class Draft:
    """A configuration while it is read."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.type = DomainType.INVALID
        """INVALID before the type is read, and if it is wrong: then no keys of one type only are read."""
        self.vcpus = 0
        """What vcpus says."""
        self.pci_defaults: dict[str, bool] = {}
        """What the keys pci_… say."""
        self.parts: defaultdict[Part, dict[str, Any]] = defaultdict(dict)
        """The fields that are set, by struct."""

    def warn(
        self, key: str, message: str, hint: str | None = None, *, xl: bytes = b"", at_key: bool = False
    ) -> None:
        """Warn at the value of a key, or at the key itself. xl prints `xl`."""
        place = self.reader.key_place(key) if at_key else self.reader.place(key)
        self.reader.report.warn(place, message, hint, xl=xl)

    def refuse(
        self, key: str, message: str, hint: str | None = None, *, xl: bytes = b"", status: int = 1
    ) -> None:
        """Add an error at the value of a key, or on the whole file. xl prints `xl` and ends."""
        self.reader.report.error(self.reader.place(key), message, hint, xl=xl, xl_status=status)

    def no_effect(self, keys: Iterable[str], why: str) -> None:
        """Warn of those keys among `keys` that are set in vain. Where the type is wrong nobody can tell."""
        for key in keys:
            if key in self.reader.settings and self.type is not DomainType.INVALID:
                self.warn(key, f"{key} has no effect {why}", at_key=True)

    def guest(self) -> str:
        """Name the type of guest, as in "a PV guest"."""
        return f"{'an' if self.type is DomainType.HVM else 'a'} {self.type.name} guest"


class Row:
    """A key, or some keys that xl reads together."""

    __slots__ = ("always", "guests", "kinds", "read")

    def __init__(
        self,
        kinds: Mapping[str, str],
        read: Callable[[Draft], None],
        *,
        always: bool = False,
        guests: frozenset[DomainType] | None = None,
    ) -> None:
        self.kinds = kinds
        self.read = read
        self.always = always
        """Whether there is something to do although none of the keys is set."""
        self.guests = guests
        """The types of guests for which xl reads them; None: all."""


class Table:
    """Rows in order. Reading takes time for the keys that are set, not for those that could be."""

    def __init__(self, *rows: Row) -> None:
        self._rows = rows
        self._always = frozenset(number for number, row in enumerate(rows) if row.always)
        self._places: dict[str, list[int]] = {}
        self.kinds: dict[str, str] = {}
        """Each key, in the order in which it is first read, and its kinds."""
        for number, row in enumerate(rows):
            for key, kind in row.kinds.items():
                self._places.setdefault(key, []).append(number)
                self.kinds.setdefault(key, kind)

    def read(self, draft: Draft) -> None:
        """Read all keys."""
        places = self._places
        wanted = set(self._always)
        for key in draft.reader.settings:
            wanted.update(places.get(key, ()))
        skipped: set[int] = set()
        for number in sorted(wanted):
            row = self._rows[number]
            if row.guests is None or draft.type in row.guests:
                row.read(draft)
            else:
                skipped.add(number)
        in_vain = [key for key in draft.reader.settings if key in places and skipped.issuperset(places[key])]
        draft.no_effect(in_vain, f"on {draft.guest()}")


def only(*guests: DomainType) -> Callable[..., tuple[Row, ...]]:
    """Give what limits rows to some types of guests."""

    def limited(*rows: Row) -> tuple[Row, ...]:
        return tuple(Row(row.kinds, row.read, always=row.always, guests=frozenset(guests)) for row in rows)

    return limited


def function(read: Callable[[Draft], None], *, always: bool = False, **kinds: str) -> Row:
    """Give an irregular row: its keys with their kinds, and what reads them."""
    return Row(kinds, read, always=always)


def text(key: str, part: Part, field: str | None = None) -> Row:
    """Give a row that copies text to a field, by default of the same name."""
    return _copy(key, "T", part, field, lambda draft: draft.reader.text(key))


def boolean(key: str, part: Part, field: str | None = None) -> Row:
    """Give a row that copies a boolean."""
    return _copy(key, "B", part, field, lambda draft: draft.reader.boolean(key))


def integer(key: str, part: Part, field: str | None = None) -> Row:
    """Give a row that copies a number to a C int."""
    return _copy(key, "N", part, field, lambda draft: _stored(draft, key, int32))


def unsigned(key: str, part: Part, field: str | None = None) -> Row:
    """Give a row that copies a number to a uint32_t."""
    return _copy(key, "N", part, field, lambda draft: _stored(draft, key, uint32))


def mebibytes(key: str, part: Part, field: str) -> Row:
    """Give a row that copies a number of MiB as KiB."""
    return _copy(key, "N", part, field, lambda draft: _stored(draft, key, uint64, 1024))


def choice(
    key: str,
    part: Part,
    words: type[Enumeration],
    xl: bytes | None = None,
    *,
    status: int = 1,
    quiet: bool = False,
) -> Row:
    """Give a row that copies one of some words; see `choose`."""
    return _copy(key, "T", part, key, lambda draft: choose(draft, key, words, xl, status, quiet=quiet))


def choose(
    draft: Draft,
    key: str,
    words: type[Word],
    xl: bytes | None = None,
    status: int = 1,
    *,
    quiet: bool = False,
) -> Word | None:
    """Read one of the words of an enumeration, in any case.

    Of other text xl says `xl`, in which `%s` stands for the text, and ends with `status`.
    """
    value = draft.reader.single(key, quiet=quiet)
    if value is None:
        return None
    known = _words(words, draft.reader.facts.version)
    word = known.get(value.value.lower())
    if word is None:
        hint = f"xl knows {', '.join(word.json for word in known.values() if word.json != 'unknown')}"
        xl = xl or b'ERROR: invalid value "%%s" for "%s"\n' % key.encode()
        draft.refuse(key, f'{key} cannot be "{shown(value.value)}"', hint, xl=xl % value.value, status=status)
    return word


def choose_or_number(draft: Draft, key: str, words: type[Word], *, deprecated: bool) -> Word | None:
    """Read one of the words of an enumeration, or its number; xl warns of numbers that are `deprecated`."""
    number = draft.reader.try_number(key)
    if number is None:
        return choose(draft, key, words)
    names = {int(word): word.json for word in words}
    if deprecated:
        name = names.get(int32(number))
        example = f'e.g. {key}="{name}"' if name else ""
        draft.warn(
            key,
            f"{key} as a number is deprecated",
            f'write {key} = "{name}"' if name else None,
            xl=f'WARNING: specifying "{key}" as an integer is deprecated. '
            f"Please use the named parameter variant. {example}\n".encode(),
        )
    if number < 0 or number not in names:
        draft.refuse(
            key,
            f"{key} cannot be {number}",
            f"numbers go up to {max(names)}",
            xl=f'ERROR: invalid value {number} for "{key}"\n'.encode(),
        )
        return None
    return words(number)


def _stored(draft: Draft, key: str, cut: Callable[[int], int], factor: int = 1) -> int | None:
    """Read a number and store it as C does: what is too large for the field is cut off."""
    number = draft.reader.number(key)
    if number is None:
        return None
    stored = cut(number * factor)
    if stored != number * factor:
        unit = " KiB" if factor == 1024 else ""
        draft.warn(key, f"{key} = {number} does not fit", f"xl takes {stored}{unit} instead")
    return stored


def _copy(
    key: str, kind: str, part: Part, field: str | None, value_of: Callable[[Draft], object | None]
) -> Row:
    name = field or key

    def read(draft: Draft) -> None:
        value = value_of(draft)
        if value is not None:
            draft.parts[part][name] = value

    return Row({key: kind}, read)


@functools.cache
def _words(words: type[Word], version: XenVersion) -> dict[bytes, Word]:
    """Give the words of an enumeration in small letters, as in xl.cfg."""
    return {word.json.encode(): word for word in words if word.since <= version}
