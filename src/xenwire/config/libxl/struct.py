"""What libxl's structs and enumerations have in common as Python classes.

They are no dataclasses because a program that starts a domain counts milliseconds: no code is compiled to
make a class, and an instance holds only the values that differ from the defaults. That is also what libxl
puts into JSON.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn, Self, dataclass_transform

from xenwire.config.libxl.kinds import BadValue
from xenwire.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from xenwire.config.libxl.kinds import Kind

__all__ = ["FIRST", "Enumeration", "Field", "Release", "Struct", "field"]

Release = tuple[int, int]
"""The first release of Xen that has a thing: (4, 17); `version.EXTENSION` for what only Xenwire has."""

FIRST: Final[Release] = (4, 2)
"""This release, or an earlier one."""


class Enumeration(enum.IntEnum):
    """An enumeration of libxl, with its numbers."""

    _releases: ClassVar[tuple[Release, Mapping[str, Release]]]

    def __init_subclass__(cls, since: Release = FIRST, later: Mapping[str, Release] | None = None) -> None:
        """Note the first release of the enumeration, and those of the members that came later."""
        cls._releases = (since, later or {})

    @property
    def json(self) -> str:
        """The name in JSON and in xl.cfg."""
        return self.name.lower().lstrip("_")

    @property
    def since(self) -> Release:
        """The first release that has this member."""
        since, later = type(self)._releases
        return later.get(self.name, since)


class Field:
    """A field of a struct."""

    __slots__ = ("default", "deprecated_by", "kind", "since")

    def __init__(self, kind: Kind, default: Any, since: Release | None, deprecated_by: str | None) -> None:
        self.kind = kind
        self.default = default
        self.since = since or FIRST
        """The first release that has it; not before that of its struct."""
        self.deprecated_by = deprecated_by
        """The field of the outermost struct that has replaced it."""


def field(kind: Kind, *, default: Any, since: Release | None = None, deprecated_by: str | None = None) -> Any:
    """Describe a field in the body of a class."""
    return Field(kind, default, since, deprecated_by)


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field,))
class Struct:
    """A struct of libxl: a frozen value, valid by construction, compared by value, hashable.

    Fields are given by keyword, those left out have their default. Raises UsageError, with the names of the
    struct and the field, for a value that the field cannot have.
    """

    NAME: ClassVar[str]
    """The name in libxl; an inner struct has that of the outer one and its path there."""
    FIELDS: ClassVar[dict[str, Field]]
    """The fields by name, in the order of JSON."""
    SINCE: ClassVar[Release]
    """The first release that has the struct."""
    KEY: ClassVar[Enumeration | None]
    """For the member of a union: the number that stands for it."""

    def __init_subclass__(cls, name: str, since: Release = FIRST, key: Enumeration | None = None) -> None:
        """Make the class from the fields in its body."""
        cls.NAME = name
        cls.SINCE = since
        cls.KEY = key
        cls.FIELDS = {name: value for name, value in vars(cls).items() if isinstance(value, Field)}
        for name, described in cls.FIELDS.items():
            described.since = max(described.since, since)
            setattr(cls, name, described.default)

    def __init__(self, **values: Any) -> None:
        own = self.__dict__
        fields = self.FIELDS
        for name, value in values.items():
            described = fields.get(name)
            if described is None:
                raise TypeError(f"{type(self).__name__} has no field {name!r}")
            default = described.default
            if value is default:
                continue
            try:
                value = described.kind.check(value)
            except BadValue as error:
                raise UsageError(f"{self.NAME}.{name}: {error.reason}") from None
            if value != default:
                own[name] = value

    def replace(self, **changes: Any) -> Self:
        """Give a copy with other values for some fields. Raises UsageError."""
        return type(self)(**{**self.__dict__, **changes})

    def given(self) -> Iterator[tuple[str, Any]]:
        """Give the names and values of the fields that differ from their defaults, in order."""
        own = self.__dict__
        return ((name, own[name]) for name in self.FIELDS if name in own)

    def __eq__(self, other: object) -> bool:
        return self.__dict__ == other.__dict__ if type(self) is type(other) else NotImplemented

    def __hash__(self) -> int:
        return hash((type(self), frozenset(self.__dict__.items())))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.given())})"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is frozen")
