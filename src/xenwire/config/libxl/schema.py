"""JSON Schema (draft 2020-12) of libxl's JSON, for editors and for checks before a configuration is used."""

from __future__ import annotations

from typing import Any

from xenwire.config.libxl import kinds
from xenwire.config.libxl.cpuid import Bits, CpuidLeaf, CpuidMsr, CpuidPolicyList
from xenwire.config.libxl.kinds import Kind
from xenwire.config.libxl.struct import Enumeration, Struct
from xenwire.config.libxl.version import V4_17, XenVersion

__all__ = ["json_schema"]

_Schema = dict[str, Any]


def json_schema(struct: type[Struct], version: XenVersion = V4_17) -> _Schema:
    """Give the schema of a struct's JSON in one version of Xen. It refuses keys that libxl ignores.

    The structs and enumerations inside are in `$defs`, by the names of their classes.
    """
    definitions = _Definitions(version)
    reference = definitions.struct(struct)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"libxl_{struct.NAME} of Xen {version}",
        **reference,
        "$defs": dict(sorted(definitions.found.items())),
    }


class _Definitions:
    """Collects what a schema refers to."""

    def __init__(self, version: XenVersion) -> None:
        self.version = version
        self.found: dict[str, _Schema] = {}

    def struct(self, struct: type[Struct]) -> _Schema:
        """Give a reference to a struct."""
        if struct.__name__ not in self.found:
            properties: dict[str, _Schema] = {}
            self.found[struct.__name__] = definition = {
                "description": struct.__doc__,
                "type": "object",
                "properties": properties,
                "additionalProperties": False,
            }
            for name, field in struct.FIELDS.items():
                if not self.version.knows(field.since):
                    continue
                if isinstance(field.kind, kinds.UnionOf):
                    members = field.kind.keys(name, self.version)
                    properties |= {key: self.struct(member) for key, member in members.items()}
                    definition |= _at_most_one(list(members))
                else:
                    properties[name] = self.kind(field.kind)
                    if field.deprecated_by:
                        properties[name] |= {"deprecated": True}
        return {"$ref": f"#/$defs/{struct.__name__}"}

    def enumeration(self, enumeration: type[Enumeration]) -> _Schema:
        """Give a reference to an enumeration."""
        names = [member.json for member in enumeration if self.version.knows(member.since)]
        self.found[enumeration.__name__] = {"description": enumeration.__doc__, "enum": names}
        return {"$ref": f"#/$defs/{enumeration.__name__}"}

    def kind(self, kind: Kind) -> _Schema:
        """Give the schema of a field."""
        match kind:
            case kinds.StructOf():
                return self.struct(kind.type)
            case kinds.ArrayOf():
                return _array(self.kind(kind.item))
            case kinds.EnumOf():
                return self.enumeration(kind.type)
            case kinds.Integer():
                return _number(kind)
            case kinds.Bool():
                return {"type": "boolean"}
            case kinds.Defbool():
                return {"enum": ["<default>", "True", "False"]}
            case kinds.String():
                return {"type": ["string", "null"]}
            case kinds.Uuid():
                return _text(r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")
            case kinds.Mac():
                return _text(r"^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$")
            case kinds.Bitmap():
                return _array({"type": "integer", "minimum": 0, "maximum": kinds.MAX_BIT})
            case kinds.StringList():
                return _array({"type": "string"})
            case kinds.KeyValueList():
                return {"type": "object", "additionalProperties": {"type": ["string", "null"]}}
            case kinds.MsVmGenid():
                return _array(_number(kinds.UINT8), 16)
            case kinds.Hwcap():
                return _array(_number(kinds.UINT32), 4)
            case Bits():
                return _text(rf"^[ -~]{{{kind.count}}}$")
            case CpuidPolicyList():
                return self.cpuid()
        raise AssertionError(f"no schema for {kind}")

    def cpuid(self) -> _Schema:
        """Give the schema of CPUID policies."""
        leaves = _array({**self.struct(CpuidLeaf), "required": ["leaf"]})
        if not self.version.cpuid_has_msrs:
            return leaves
        msrs = _array({**self.struct(CpuidMsr), "required": ["index", "policy"]})
        return {
            "type": "object",
            "properties": {"cpuid": leaves, "msr": msrs},
            "required": ["cpuid", "msr"],
            "additionalProperties": False,
        }


def _number(kind: kinds.Integer) -> _Schema:
    return {"type": "integer", "minimum": kind.low, "maximum": kind.high}


def _text(pattern: str) -> _Schema:
    return {"type": "string", "pattern": pattern}


def _array(items: _Schema, length: int | None = None) -> _Schema:
    exactly = {} if length is None else {"minItems": length, "maxItems": length}
    return {"type": "array", "items": items, **exactly}


def _at_most_one(keys: list[str]) -> _Schema:
    """Give the condition that an object has at most one of some keys."""
    given: list[_Schema] = [{"required": [key]} for key in keys]
    return {"oneOf": [*given, {"not": {"anyOf": given}}]}
