"""Versions of Xen, as far as libxl's types depend on them."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from xenwire.errors import UsageError

__all__ = ["EXTENSION", "NEWEST", "OLDEST", "V4_17", "XenVersion"]

_LAST: Final = 999
"""Stands for the last point release of a series: `4.17` without a third number."""


class XenVersion(NamedTuple):
    """A version of Xen. Versions compare in the order of their releases."""

    major: int
    minor: int
    point: int = _LAST
    """The point release; by default the last one of the series."""

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}" + ("" if self.point == _LAST else f".{self.point}")

    def knows(self, since: tuple[int, int]) -> bool:
        """Tell whether JSON for this version has what came with a release, or what only Xenwire has."""
        return self >= since or since == EXTENSION

    @property
    def cpuid_has_msrs(self) -> bool:
        """Whether libxl's JSON of a CPUID policy holds MSRs too (xen: tools/libs/light/libxl_cpuid.c).

        It came with 4.18, and in a point release of each series that was supported then.
        """
        first = {14: 6, 15: 5, 16: 5, 17: 2}.get(self.minor)
        return self >= (4, 18) or (first is not None and self.point >= first)

    @staticmethod
    def parse(text: str) -> XenVersion:
        """Read `4.17` or `4.17.5`. Raises UsageError for other text, and for a version before 4.12.

        From 4.12 on every release of libxl has only added to the types of the one before, so that one set
        of types serves all of them.
        """
        match = re.fullmatch(r"([0-9]{1,2})\.([0-9]{1,2})(?:\.([0-9]{1,2}))?", text)
        if not match:
            raise UsageError(f"not a version of Xen: {text[:40]!r}", hint="write it as in 4.17 or 4.17.5")
        version = XenVersion(*(int(number) for number in match.groups() if number is not None))
        if version < OLDEST:
            raise UsageError(
                f"Xen {version} is too old",
                reason="libxl's types changed in ways that are not described here",
                hint=f"give {OLDEST.major}.{OLDEST.minor} or a later one",
            )
        return version


OLDEST: Final = XenVersion(4, 12, 0)
V4_17: Final = XenVersion(4, 17, 5)
"""The version that the golden data were made with (Debian 12)."""
NEWEST: Final = XenVersion(4, 22)

EXTENSION: Final = (_LAST, 0)
"""The release of what Xenwire adds to libxl's types: later than any of Xen."""
