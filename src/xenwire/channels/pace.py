"""How often something may happen: a guest that overdoes it waits, and the others do not."""

from __future__ import annotations

__all__ = ["Pace"]


class Pace:
    """At most `burst` times at once, and `rate` times a second in the long run."""

    __slots__ = ("_full_at", "burst", "rate")

    def __init__(self, burst: int, rate: float) -> None:
        self.burst, self.rate = burst, rate
        self._full_at = 0.0

    def spend(self, now: float) -> float:
        """Count one time, at `now` seconds of a steady clock, and give the seconds to wait before it."""
        self._full_at = max(self._full_at, now) + 1 / self.rate
        return max(0.0, self._full_at - now - self.burst / self.rate)
