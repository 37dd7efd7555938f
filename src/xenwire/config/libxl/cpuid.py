"""CPUID policies: what a guest is told of its processor (xen: tools/libs/light/libxl_cpuid.c).

The bits of a register are text, the highest bit first: `1` and `0` set and clear a bit, `x` leaves it to
the default, `k` passes the host's on, `s` does so and keeps it over migration.
"""

from __future__ import annotations

from typing import Any, Final

from xenwire.config.libxl.kinds import ArrayOf, BadValue, Integer, Kind, StructOf
from xenwire.config.libxl.struct import Struct, field

__all__ = [
    "CPUID_POLICY_LIST",
    "REGISTER",
    "Bits",
    "CpuidLeaf",
    "CpuidMsr",
    "CpuidPolicies",
    "CpuidPolicyList",
]


class Bits(Kind):
    """The bits of a register, as text."""

    __slots__ = ("count",)

    def __init__(self, count: int) -> None:
        self.count = count

    def check(self, value: Any) -> str:
        """Give a str. Raises BadValue."""
        # libxl itself looks at the length only.
        if isinstance(value, str) and len(value) == self.count and value.isascii() and value.isprintable():
            return value
        raise BadValue(f"the bits of this register are {self.count} characters, such as {'x' * self.count}")


_NUMBER: Final = Integer(0, 2**32 - 2)
"""2^32-1 ends the lists in libxl."""
REGISTER: Final = Bits(32)
_MSR: Final = Bits(64)


class CpuidLeaf(Struct, name="cpuid_policy_list.cpuid"):
    """The four registers of one leaf, or of one of its subleaves."""

    leaf: int = field(_NUMBER, default=0)
    subleaf: int | None = field(_NUMBER, default=None)
    eax: str | None = field(REGISTER, default=None)
    ebx: str | None = field(REGISTER, default=None)
    ecx: str | None = field(REGISTER, default=None)
    edx: str | None = field(REGISTER, default=None)


class CpuidMsr(Struct, name="cpuid_policy_list.msr"):
    """A model-specific register. JSON has them from Xen 4.17.2 on, see `XenVersion.cpuid_has_msrs`."""

    index: int = field(_NUMBER, default=0)
    policy: str = field(_MSR, default="x" * 64)


class CpuidPolicies(Struct, name="cpuid_policy_list"):
    """The registers for which there is a policy."""

    leaves: tuple[CpuidLeaf, ...] = field(ArrayOf(StructOf(CpuidLeaf)), default=())
    msrs: tuple[CpuidMsr, ...] = field(ArrayOf(StructOf(CpuidMsr)), default=())


class CpuidPolicyList(Kind):
    """A CpuidPolicies."""

    __slots__ = ()

    def check(self, value: Any) -> CpuidPolicies:
        """Give the policies. Raises BadValue."""
        if isinstance(value, CpuidPolicies):
            return value
        raise BadValue("this is no CpuidPolicies")


CPUID_POLICY_LIST: Final = CpuidPolicyList()
