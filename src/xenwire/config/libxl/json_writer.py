"""libxl's JSON of its types, byte for byte as Xen 4.17 prints it.

A field is written if it differs from its default; structs always are. The member of a union is written with
the name of the key and its own: `"connection.socket": {…}`. The text is that of yajl: four spaces, one item
on a line, an empty line in what is empty. From 4.21 on libxl may use json-c, which lays out the same data
otherwise (xen: tools/libs/light/gentypes.py, libxl_json.c).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from xenwire.config.libxl.cpuid import CpuidLeaf, CpuidPolicies, CpuidPolicyList
from xenwire.config.libxl.kinds import (
    ArrayOf,
    Bitmap,
    Defbool,
    EnumOf,
    Hwcap,
    KeyValueList,
    Kind,
    MsVmGenid,
    StringList,
    StructOf,
    UnionOf,
    Uuid,
)
from xenwire.config.libxl.struct import Enumeration, Struct
from xenwire.config.libxl.types import DomainConfig
from xenwire.config.libxl.version import V4_17, XenVersion

__all__ = ["listing_to_json", "lost", "to_data", "to_json"]


def to_json(value: Struct, version: XenVersion = V4_17) -> bytes:
    """Give the JSON of a value as libxl of `version` prints it, with a newline at its end.

    What that version does not know is left out, see `lost`. Text that is not UTF-8 goes out as it is.
    """
    return _text(_struct(value, version, tuple))


def to_data(value: Struct, version: XenVersion = V4_17) -> dict[str, Any]:
    """Give the JSON of a value as dict, list, str, int, bool and None.

    If a key repeats in a key_value_list, the last one is left.
    """
    return _struct(value, version, dict)


def listing_to_json(domains: Iterable[tuple[int, DomainConfig]], version: XenVersion = V4_17) -> bytes:
    """Give what `xl list -l` prints for domains with these ids (xen: tools/xl/xl_info.c)."""
    listing = [{"domid": domid, "config": _struct(config, version, tuple)} for domid, config in domains]
    return _text(listing) + b"\n"


def lost(value: Struct, version: XenVersion = V4_17) -> list[str]:
    """Name what libxl of `version` does not get to know: `["b_info.llc_colors"]`.

    `to_json` leaves it out, but for what only Xenwire has: that is written, and libxl ignores it.
    """
    return list(_lost(value, version, ""))


def _lost(part: Any, version: XenVersion, place: str) -> Iterator[str]:
    if isinstance(part, Struct):
        if part.KEY is not None:
            place += f".{part.KEY.json}"
        if version < part.SINCE:
            yield place
        elif isinstance(part, CpuidPolicies):
            if part.msrs and not version.cpuid_has_msrs:
                yield f"{place}.msrs"
        else:
            for name, inner in part.given():
                inner_place = f"{place}.{name}" if place else name
                if part.FIELDS[name].since > version:
                    yield inner_place
                else:
                    yield from _lost(inner, version, inner_place)
    elif isinstance(part, Enumeration):
        if part.since > version:
            yield place
    elif isinstance(part, tuple):
        for index, item in enumerate(part):
            yield from _lost(item, version, f"{place}[{index}]")


_Convert = Callable[[Any], Any]
_LEFT_OUT: Final = object()


def _struct(value: Struct, version: XenVersion, pairs: type) -> dict[str, Any]:
    """Give the data of a struct; `pairs` is the type that a key_value_list becomes."""
    own = value.__dict__
    data: dict[str, Any] = {}
    for name, default, convert, is_union in _plan(type(value), version, pairs):
        part: Any = own.get(name, default)
        if part is _LEFT_OUT:
            continue
        if convert is not None:
            part = convert(part)
        if is_union:
            data.update(part)
        elif part is not _LEFT_OUT:
            data[name] = part
    return data


_Plan = list[tuple[str, Any, _Convert | None, bool]]
"""The fields that a version has: the name, the default if that is written too, how to make data of a value,
and whether it is a union.
"""
_plans: Final[dict[tuple[type[Struct], XenVersion, type], _Plan]] = {}


def _plan(struct: type[Struct], version: XenVersion, pairs: type) -> _Plan:
    plan = _plans.get((struct, version, pairs))
    if plan is None:
        plan = _plans[struct, version, pairs] = [
            (
                name,
                field.default if isinstance(field.kind, _ALWAYS) else _LEFT_OUT,
                _converter(name, field.kind, version, pairs),
                isinstance(field.kind, UnionOf),
            )
            for name, field in struct.FIELDS.items()
            if version.knows(field.since)
        ]
    return plan


def _converter(name: str, kind: Kind, version: XenVersion, pairs: type) -> _Convert | None:
    """Give what makes data of a value, None if the value is its own data."""
    if isinstance(kind, CpuidPolicyList):
        return lambda policies: _cpuid(policies, version)
    if isinstance(kind, StructOf):
        return lambda value: _struct(value, version, pairs)
    if isinstance(kind, UnionOf):
        keys = {struct: key for key, struct in kind.keys(name, version).items()}
        return lambda member: (
            {keys[type(member)]: _struct(member, version, pairs)} if type(member) in keys else {}
        )
    if isinstance(kind, EnumOf):
        names = {member: member.json for member in kind.type if version.knows(member.since)}
        return lambda member: names.get(member, _LEFT_OUT)
    if isinstance(kind, ArrayOf):
        item = _converter(name, kind.item, version, pairs)
        return list if item is None else lambda items: [item(each) for each in items]
    if isinstance(kind, KeyValueList):
        return pairs
    return _SIMPLE.get(type(kind))


_ALWAYS: Final = (StructOf, UnionOf, Hwcap)
_SIMPLE: Final[dict[type[Kind], _Convert]] = {
    Bitmap: sorted,
    Defbool: str,
    Hwcap: list,
    MsVmGenid: list,
    StringList: list,
    Uuid: str,
}


def _cpuid(policies: CpuidPolicies, version: XenVersion) -> Any:
    """Give an object with the leaves and MSRs; before there were MSRs it was an array of the leaves."""
    leaves = [_leaf(leaf) for leaf in policies.leaves]
    if not version.cpuid_has_msrs:
        return leaves or _LEFT_OUT
    return {"cpuid": leaves, "msr": [{"index": msr.index, "policy": msr.policy} for msr in policies.msrs]}


def _leaf(leaf: CpuidLeaf) -> dict[str, Any]:
    return {"leaf": leaf.leaf, **dict(leaf.given())}


_ESCAPES: Final = {
    **{code: f"\\u{code:04X}" for code in range(0x20)},
    **{ord(char): f"\\{letter}" for char, letter in zip('"\\\b\f\n\r\t', '"\\bfnrt', strict=True)},
}


def _text(data: Any) -> bytes:
    parts: list[str] = []
    _write(data, "\n", parts.append)
    parts.append("\n")
    return "".join(parts).encode("utf-8", "surrogateescape")


def _write(data: Any, newline: str, write: Callable[[str], None]) -> None:
    """Write a value. `newline` begins a line with the indentation of the value."""
    if isinstance(data, str):
        write(f'"{data.translate(_ESCAPES)}"')
    elif isinstance(data, (dict, tuple)):
        inner = f"{newline}    "
        start = f"{{{inner}" if data else "{\n"
        for key, value in data.items() if isinstance(data, dict) else data:
            write(f'{start}"{key.translate(_ESCAPES)}": ')
            _write(value, inner, write)
            start = f",{inner}"
        write(f"{newline}}}" if data else f"{start}{newline}}}")
    elif isinstance(data, list):
        inner = f"{newline}    "
        start = f"[{inner}" if data else "[\n"
        for value in data:
            write(start)
            _write(value, inner, write)
            start = f",{inner}"
        write(f"{newline}]" if data else f"{start}{newline}]")
    else:
        write(_WORDS[data] if data is None or data is True or data is False else str(data))


_WORDS: Final = {None: "null", True: "true", False: "false"}
