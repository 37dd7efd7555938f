"""Who a domain is: labels, type, name and uuid (xen: tools/xl/xl_parse.c, from init_seclabel to pvshim)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from xenwire.config.diagnostics import shown
from xenwire.config.libxl.types import DomainType
from xenwire.config.xl.deprecated import DEPRECATED
from xenwire.config.xl.rows import Draft, Part, boolean, function, only, text

__all__ = ["ROWS"]

_TYPES: Final = {b"hvm": DomainType.HVM, b"pv": DomainType.PV, b"pvh": DomainType.PVH}
_BUILDERS: Final = {b"hvm": DomainType.HVM, b"generic": DomainType.PV}
_UUID: Final = re.compile(rb"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def _labels(draft: Draft) -> None:
    create, build = draft.parts[Part.C_INFO], draft.parts[Part.B_INFO]
    label = draft.reader.text("init_seclabel")
    if label is not None:
        create["ssid_label"] = label
    label = draft.reader.text("seclabel")
    if label is not None:
        if "ssid_label" in create:
            build["exec_ssid_label"] = label
        else:
            create["ssid_label"] = label


def _type(draft: Draft) -> None:
    by_type = _prefix(draft, "type", _TYPES)
    by_builder = _prefix(draft, "builder", _BUILDERS)
    if "builder" in draft.reader.settings:
        draft.warn("builder", "builder is deprecated", DEPRECATED["builder"], at_key=True)
    if by_type and by_builder and by_type is not by_builder:
        draft.refuse(
            "builder",
            f"builder says {by_builder.name}, but type says {by_type.name}",
            "remove builder",
            xl=b'Contradicting "builder" and "type" options specified.\n',
        )
    elif not draft.reader.report.failed:
        draft.type = draft.parts[Part.C_INFO]["type"] = by_builder or by_type or DomainType.PV


def _prefix(draft: Draft, key: str, names: Mapping[bytes, DomainType]) -> DomainType | None:
    """Read a word that may be cut short: xl takes the first name that starts with it."""
    value = draft.reader.single(key)
    if value is None:
        return None
    word = value.value
    for name, domain_type in names.items():
        if name.startswith(word):
            if word != name:
                draft.warn(key, f'{key} = "{shown(word)}" means {shown(name)}', "write it in full")
            return domain_type
    draft.refuse(
        key,
        f'{key} cannot be "{shown(word)}"',
        f"xl knows {b', '.join(names).decode()}",
        xl=b"Invalid domain type %s.\n" % word,
    )
    return None


def _name(draft: Draft) -> None:
    name = draft.reader.text("name")
    if name is None:
        draft.refuse(
            "name",
            "the domain has no name",
            'add name = "…"',
            xl=b"Domain name must be specified.\n",
        )
    else:
        draft.parts[Part.C_INFO]["name"] = name


def _uuid(draft: Draft) -> None:
    value = draft.reader.single("uuid")
    if value is None:
        return
    if not _UUID.fullmatch(value.value):
        draft.refuse(
            "uuid",
            f'uuid is none: "{shown(value.value)}"',
            "write it as 8-4-4-4-12 hexadecimal digits",
            xl=b"Failed to parse UUID: %s\n" % value.value,
        )
        return
    import uuid  # takes as long to load as much of the program: programs without one are spared it

    draft.parts[Part.C_INFO]["uuid"] = uuid.UUID(value.value.decode("ascii"))


ROWS: Final = (
    function(_labels, init_seclabel="T", seclabel="T"),
    function(_type, type="T", builder="T", always=True),
    boolean("hap", Part.C_INFO),
    function(_name, name="T", always=True),
    function(_uuid, uuid="T"),
    boolean("oos", Part.C_INFO),
    text("pool", Part.C_INFO, "pool_name"),
    *only(DomainType.PVH)(
        boolean("pvshim", Part.GUEST),
        text("pvshim_path", Part.GUEST),
        text("pvshim_cmdline", Part.GUEST),
        text("pvshim_extra", Part.GUEST),
    ),
)
