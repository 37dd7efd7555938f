"""libxl's types from their JSON (xen: tools/libs/light/gentypes.py, libxl_json.c, libxl_cpuid.c).

libxl is lenient about shape and strict about content: it ignores keys that it does not know and values of
another kind than it wants, but refuses numbers out of range and unknown names. Of members that repeat a key
it sees the first. By default this reader does the same; the strict one refuses all that.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from xenwire.config.libxl import kinds
from xenwire.config.libxl.cpuid import REGISTER, Bits, CpuidLeaf, CpuidMsr, CpuidPolicies, CpuidPolicyList
from xenwire.config.libxl.json_text import Members, parse
from xenwire.config.libxl.kinds import BadValue, Kind
from xenwire.config.libxl.struct import Enumeration, Struct
from xenwire.config.libxl.types import DomainConfig
from xenwire.config.libxl.version import V4_17, XenVersion
from xenwire.errors import UsageError

__all__ = ["from_json", "read_listing"]

S = TypeVar("S", bound=Struct)


def from_json(
    data: bytes, struct: type[S], *, strict: bool = False, version: XenVersion = V4_17, source: str = "JSON"
) -> S:
    """Read a value of type `struct` as libxl of `version` does.

    Raises UsageError for a value that libxl refuses, ConfigError for a mistake in the text; both are told
    with the place in `source`. If `strict`, also for values of the wrong kind, unknown and repeated keys.
    """
    tree = parse(data, source)
    try:
        return _Reader(version, strict=strict).struct(tree, struct)
    except BadValue as error:
        raise _refusal(source, f"libxl_{struct.NAME}", error) from None


def read_listing(
    data: bytes, *, strict: bool = False, version: XenVersion = V4_17, source: str = "xl list -l"
) -> tuple[tuple[int, DomainConfig], ...]:
    """Read what `xl list -l` prints: domain ids, each with its configuration. Raises as from_json does."""
    listing = parse(data, source)
    reader = _Reader(version, strict=strict)
    try:
        if type(listing) is not list:
            raise BadValue("this is not a list of domains")
        return tuple([_at(index, reader.listed, item) for index, item in enumerate(listing)])
    except BadValue as error:
        raise _refusal(source, "a list of domains", error) from None


def _refusal(source: str, what: str, error: BadValue) -> UsageError:
    place = error.place.removeprefix(".")
    return UsageError(
        f"cannot read {source} as {what}",
        reason=f"{place}: {error.reason}" if place else error.reason,
    )


def _at(place: str | int, read: Callable[..., Any], *arguments: Any) -> Any:
    """Read a part, and name its place if it is refused."""
    try:
        return read(*arguments)
    except BadValue as error:
        error.path.insert(0, place)
        raise


class _Reader:
    """Reads by the rules of one version. The methods raise BadValue."""

    def __init__(self, version: XenVersion, *, strict: bool) -> None:
        self.version = version
        self.strict = strict

    def listed(self, tree: Any) -> tuple[int, DomainConfig]:
        """Read an item of `xl list -l`."""
        members = self.members(tree) if type(tree) is Members else {}
        if type(members.get("domid")) is not int or type(members.get("config")) is not Members:
            raise BadValue("this is not a domain id with a configuration")
        domid: int = _at("domid", kinds.DOMID.check, members["domid"])
        return domid, _at("config", self.struct, members["config"], DomainConfig)

    def struct(self, tree: Any, struct: type[S]) -> S:
        """Read a struct."""
        if type(tree) is not Members:
            if self.strict:
                raise BadValue(f"{_called(tree)} is not an object")
            return struct()
        members = self.members(tree)
        if self.strict:
            unknown = members.keys() - _keys(struct, self.version)
            if unknown:
                raise BadValue(f"{_called(min(unknown))} is unknown to Xen {self.version}")
        values = {}
        for name, field in struct.FIELDS.items():
            if not self.version.knows(field.since):
                continue
            if isinstance(field.kind, kinds.UnionOf):
                member = self.union(name, members, field.kind, field.default)
                if member is not None:
                    values[name] = member
            elif name in members and _at(name, self.fits, members[name], field.kind):
                values[name] = _at(name, self.value, members[name], field.kind)
        return struct(**values)

    def members(self, tree: Members) -> dict[str, Any]:
        """Give the members of an object by key, the first one of each."""
        by_key = {_cut(key): value for key, value in reversed(tree)}
        if self.strict and len(by_key) < len(tree):
            seen: set[str] = set()
            for key, _ in tree:
                if _cut(key) in seen:
                    raise BadValue(f"{_called(key)} is given twice")
                seen.add(_cut(key))
        return by_key

    def union(
        self, name: str, members: dict[str, Any], kind: kinds.UnionOf, default: Struct | None
    ) -> Struct | None:
        """Read the member of a union, if there is one."""
        found: Struct | None = None
        found_key = ""
        for key, struct in kind.keys(name, self.version).items():
            if key not in members or (type(members[key]) is not Members and not self.strict):
                continue
            # libxl only asserts that the union still has its default member.
            if found is not None and (self.strict or type(found) is not type(default)):
                raise BadValue(f"{found_key} and {key} exclude each other")
            found, found_key = _at(key, self.struct, members[key], struct), key
        return found

    def fits(self, tree: Any, kind: Kind) -> bool:
        """Tell whether libxl looks at a value of this JSON kind."""
        if type(kind) not in _SHAPES:
            return True
        types, called = _SHAPES[type(kind)]
        if type(tree) in types and (type(tree) is not int or self.strict or -(2**63) <= tree < 2**63):
            return True
        if self.strict:
            raise BadValue(f"{_called(tree)} is not {called}")
        return False

    def value(self, tree: Any, kind: Kind) -> Any:
        """Read a value that fits."""
        if isinstance(kind, kinds.StructOf):
            return self.struct(tree, kind.type)
        if isinstance(kind, kinds.ArrayOf):
            return [_at(index, self.item, item, kind.item) for index, item in enumerate(tree)]
        if isinstance(kind, kinds.EnumOf):
            return self.enum(tree, kind.type)
        if kind is REGISTER and not self.strict:
            tree = _cut(tree)[:32]  # libxl takes more, but never writes it again
        read = _READERS.get(type(kind))
        return kind.check(read(self, tree) if read else tree)

    def item(self, tree: Any, kind: Kind) -> Any:
        """Read an item of an array."""
        if not self.fits(tree, kind):
            raise BadValue(f"{_called(tree)} is not {_SHAPES[type(kind)][1]}")
        return self.value(tree, kind)

    def enum(self, tree: str, enumeration: type[Enumeration]) -> Enumeration:
        """Read the name of a member of an enumeration; small and capital letters are the same."""
        known = {member.json: member for member in enumeration if self.version.knows(member.since)}
        member = known.get(_cut(tree).lower()) if tree.isascii() else None
        if member is None:
            raise BadValue(f"{_called(tree)} is none of {', '.join(known)}")
        return member

    def string(self, tree: str | None) -> str | None:
        """Read text. libxl sees what comes before a NUL."""
        return tree if tree is None or self.strict else _cut(tree)

    def defbool(self, tree: str) -> bool | None:
        """Read a default boolean, of which libxl only looks at the beginning."""
        for text, value in (("<default>", None), ("True", True), ("False", False)):
            if tree == text or (tree.startswith(text) and not self.strict):
                return value
        raise BadValue(f"{_called(tree)} is neither 'True', 'False' nor '<default>'")

    def uuid(self, tree: str) -> uuid.UUID:
        """Read a UUID of 36 characters."""
        if not _UUID.fullmatch(_cut(tree)):
            raise BadValue(f"{_called(tree)} is no UUID")
        return uuid.UUID(_cut(tree))

    def mac(self, tree: str) -> str:
        """Read an Ethernet address. libxl ignores what follows another colon."""
        match = None if self.strict else _MAC_AND_MORE.match(_cut(tree))
        return match[1] if match else tree

    def bitmap(self, tree: list[Any]) -> list[int]:
        """Read the bits of a bitmap. libxl drops those beyond the byte of the last one in the list."""
        bits = [_at(index, self.number, bit) for index, bit in enumerate(tree)]
        if self.strict or not bits:
            return bits
        size = bits[-1] // 8 * 8 + 8
        return [bit for bit in bits if 0 <= bit < size]

    def string_list(self, tree: list[Any]) -> list[Any]:
        """Read a list of texts."""
        return [_at(index, self.item, text, kinds.STRING) for index, text in enumerate(tree)]

    def key_value_list(self, tree: Members) -> list[Any]:
        """Read a list of keys with values; libxl keeps those whose key repeats."""
        if self.strict:
            self.members(tree)
        return [(_cut(key), _at(key, self.item, value, kinds.STRING)) for key, value in tree]

    def ms_vm_genid(self, tree: Any) -> bytes:
        """Read 16 bytes: the first 16 numbers, the low byte of each."""
        return bytes(self.numbers(tree, 16, kinds.UINT8))

    def hwcap(self, tree: list[Any]) -> list[int]:
        """Read four words: the first four numbers, the low word of each."""
        return self.numbers(tree, 4, kinds.UINT32)

    def numbers(self, tree: Any, count: int, kind: kinds.Integer) -> list[int]:
        """Read `count` numbers. The strict reader takes no more of them, and none out of range."""
        if type(tree) is not list or len(tree) < count or (self.strict and len(tree) > count):
            raise BadValue(f"this is not an array of {count} numbers")
        numbers = [_at(index, self.number, tree[index]) for index in range(count)]
        if self.strict:
            return [_at(index, kind.check, number) for index, number in enumerate(numbers)]
        return [number & kind.high for number in numbers]

    def number(self, tree: Any) -> int:
        """Read a whole number of whatever size."""
        if not self.fits(tree, kinds.UINT64):
            raise BadValue(f"{_called(tree)} is not a whole number")
        return int(tree)

    def cpuid(self, tree: Any) -> CpuidPolicies:
        """Read CPUID policies: an object with leaves and MSRs, or an array of leaves as of old."""
        if type(tree) is list:
            return CpuidPolicies(leaves=tuple(self.leaves(tree)))
        members = self.members(tree) if type(tree) is Members else {}
        leaves, msrs = members.get("cpuid"), members.get("msr")
        if type(leaves) is not list or type(msrs) is not list or (self.strict and len(members) > 2):
            raise BadValue("this is neither an array of leaves nor an object with 'cpuid' and 'msr'")
        return CpuidPolicies(
            leaves=tuple(_at("cpuid", self.leaves, leaves)), msrs=tuple(_at("msr", self.msrs, msrs))
        )

    def leaves(self, tree: list[Any]) -> list[CpuidLeaf]:
        """Read the leaves of a CPUID policy. To libxl one without a number ends the list."""
        leaves = []
        for index, item in enumerate(tree):
            if not self.strict and type(item) is Members and type(self.members(item).get("leaf")) is not int:
                break
            leaves.append(_at(index, self.entry, item, CpuidLeaf, ["leaf"]))
        return leaves

    def msrs(self, tree: list[Any]) -> list[CpuidMsr]:
        """Read the MSRs of a CPUID policy."""
        return [_at(index, self.entry, item, CpuidMsr, CpuidMsr.FIELDS) for index, item in enumerate(tree)]

    def entry(self, tree: Any, struct: type[S], needed: Iterable[str]) -> S:
        """Read a struct that must have certain fields."""
        members = self.members(tree) if type(tree) is Members else {}
        for name in needed:
            if name not in members or not self.fits(members[name], struct.FIELDS[name].kind):
                raise BadValue(f"this is not an object with {name!r}")
        return self.struct(tree, struct)


def _keys(struct: type[Struct], version: XenVersion) -> set[str]:
    """Give the keys of the members that a struct can have."""
    keys: set[str] = set()
    for name, field in struct.FIELDS.items():
        if isinstance(field.kind, kinds.UnionOf):
            keys |= field.kind.keys(name, version).keys()
        elif version.knows(field.since):
            keys.add(name)
    return keys


def _cut(text: str) -> str:
    """Give what C sees of a text."""
    return text.partition("\0")[0]


def _called(tree: Any) -> str:
    """Name a value of JSON in a message."""
    if type(tree) is str:
        return ascii(tree) if len(tree) <= 60 else f"{tree[:60]!a}…"
    return _NAMES[type(tree)]


_NAMES: Final[dict[type, str]] = {
    Members: "an object",
    list: "an array",
    int: "this number",
    float: "this number",
    bool: "a boolean",
    type(None): "null",
}
_NUMBER: Final = (frozenset({int}), "a whole number that libxl can use")
_TEXT: Final = (frozenset({str}), "a string")
_ARRAY: Final = (frozenset({list}), "an array")
_SHAPES: Final[dict[type[Kind], tuple[frozenset[type], str]]] = {
    kinds.Integer: _NUMBER,
    kinds.Kib: _NUMBER,
    kinds.Bool: (frozenset({bool}), "true or false"),
    kinds.Defbool: _TEXT,
    kinds.String: (frozenset({str, type(None)}), "a string"),
    kinds.EnumOf: _TEXT,
    kinds.Uuid: _TEXT,
    kinds.Mac: _TEXT,
    kinds.Bitmap: _ARRAY,
    kinds.StringList: _ARRAY,
    kinds.KeyValueList: (frozenset({Members}), "an object"),
    kinds.Hwcap: _ARRAY,
    kinds.ArrayOf: _ARRAY,
    Bits: _TEXT,
}
"""The JSON of a kind; libxl takes other JSON for absent. Kinds that are not here are asked about any JSON."""

_READERS: Final[dict[type[Kind], Callable[[_Reader, Any], Any]]] = {
    kinds.Defbool: _Reader.defbool,
    kinds.String: _Reader.string,
    kinds.Uuid: _Reader.uuid,
    kinds.Mac: _Reader.mac,
    kinds.Bitmap: _Reader.bitmap,
    kinds.StringList: _Reader.string_list,
    kinds.KeyValueList: _Reader.key_value_list,
    kinds.MsVmGenid: _Reader.ms_vm_genid,
    kinds.Hwcap: _Reader.hwcap,
    CpuidPolicyList: _Reader.cpuid,
}
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_MAC_AND_MORE: Final = re.compile(r"([0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5})(?::|\Z)")
