"""Rate limits of network cards, `1250KB/s@20ms` (xen: tools/libs/util/libxlu_vif.c)."""

from __future__ import annotations

from typing import Final

__all__ = ["rate"]

_UNITS: Final = (("G", 10**9), ("M", 10**6), ("K", 10**3), ("", 1))
_LARGEST: Final = 2**32 - 1
_DEFAULT_INTERVAL: Final = 50_000
"""Microseconds."""


def rate(bytes_per_interval: int, microseconds: int) -> str | None:
    """Give a text from which xl computes just these numbers, the shortest; None if there is none.

    It takes bytes a second, of which it rounds down what an interval gets.
    """
    least = max(1, -(-bytes_per_interval * 10**6 // microseconds))
    most = (bytes_per_interval * 10**6 + 10**6 - 1) // microseconds
    for unit, factor in _UNITS:
        digits = -(-least // factor)
        if digits <= _LARGEST and digits * factor <= most:
            interval = "" if microseconds == _DEFAULT_INTERVAL else f"@{microseconds}us"
            return f"{digits}{unit}B/s{interval}"
    return None
