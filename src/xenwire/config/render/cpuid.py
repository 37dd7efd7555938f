"""What a guest is told of its processor (xen: tools/libs/light/libxl_cpuid.c).

A list says all that there is of CPUID. Bits of model-specific registers have no other words than flags, in
one text with `host` before them.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

from xenwire.config.libxl.cpuid import CpuidLeaf
from xenwire.config.render.rows import Sheet
from xenwire.config.render.text import Value
from xenwire.config.xl.cpuid_flags import cpuid_flags

__all__ = ["cpuid"]

_Register = tuple[int, int | None, str]
"""Leaf, subleaf and name of a register, as flags have them; an index, None and `msr`."""


def cpuid(sheet: Sheet) -> Value | None:
    """Give the policies, as a list if there are none for model-specific registers."""
    policies = sheet.b_info.cpuid
    if not policies.msrs:
        return [_line(leaf) for leaf in policies.leaves] or None
    flags = [
        flag
        for leaf in policies.leaves
        for name, bits in _registers(leaf)
        for flag in _flags((leaf.leaf, leaf.subleaf, name), bits)
    ]
    flags += [flag for msr in policies.msrs for flag in _flags((msr.index, None, "msr"), msr.policy)]
    return ",".join(["host", *flags])


def _line(leaf: CpuidLeaf) -> str:
    subleaf = "" if leaf.subleaf is None else f",{leaf.subleaf:#x}"
    return f"{leaf.leaf:#x}{subleaf}:{','.join(f'{name}={bits}' for name, bits in _registers(leaf))}"


def _registers(leaf: CpuidLeaf) -> Iterator[tuple[str, str]]:
    return ((name, bits) for name, bits in leaf.given() if name not in ("leaf", "subleaf"))


def _flags(register: _Register, bits: str) -> Iterator[str]:
    """Give the flags that set the bits of a register, as far as there are any."""
    known = _known().get(register, {})
    said = False
    for places, name in known.items():
        value = _value("".join(bits[-1 - place] for place in reversed(places)))
        if value is not None:
            said = True
            yield f"{name}={value}"
    if not said and known:
        yield f"{next(iter(known.values()))}=x"


def _value(bits: str) -> str | None:
    """Give what sets the bits of a flag; None if they are left as they are, or there is no way to say it."""
    if len(bits) > 1 and set(bits) <= {"0", "1"}:
        return str(int(bits, 2))
    return bits[0] if len(set(bits)) == 1 and bits[0] != "x" else None


@functools.cache
def _known() -> dict[_Register, dict[tuple[int, ...], str]]:
    """Give a flag for each place in each register that has any."""
    known: dict[_Register, dict[tuple[int, ...], str]] = {}
    for name, flag in cpuid_flags().items():
        places = known.setdefault((flag.leaf, flag.subleaf, flag.register), {})
        places.setdefault(flag.bits, name.decode())
    return known
