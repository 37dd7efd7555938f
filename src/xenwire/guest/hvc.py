"""Which terminal /dev/hvcK belongs to Xen's console N. Pure.

Nothing in Linux tells. The frontend driver takes a slot for each console as it finds it (linux:
drivers/tty/hvc/hvc_console.c, hvc_alloc): since Linux 5.8 the lowest that is free, before that always the
next one. The primary console, where there is one, has slot 0. So K can be told where consoles are numbered
1, 2, 3…, as a toolstack leaves them that always gives the lowest free N; and for one that came while we
looked.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final

__all__ = ["LAST_CHANNEL", "Slots", "reuses_slots"]

LAST_CHANNEL: Final = 7
"""There are eight terminals, hvc0 to hvc7, and hvc0 is the primary
console (linux: HVC_ALLOC_TTY_ADAPTERS)."""

_REUSE: Final = (5, 8)  # the version of Linux that began to give a freed slot again


def reuses_slots(release: str) -> bool:
    """Tell whether a kernel gives a freed slot again, by its release, as in `uname -r`."""
    version = re.match(r"([0-9]{1,4})\.([0-9]{1,4})", release)
    return version is None or (int(version[1]), int(version[2])) >= _REUSE


class Slots:
    """The slots of consoles, from one look to the next.

    `first` is the slot of the first console that is not the primary one: 1, or 0 where there is no primary
    console. `given` names the slots of consoles that somebody knows better.
    """

    def __init__(self, *, reuses: bool, first: int = 1, given: Mapping[int, int] | None = None) -> None:
        self._reuses = reuses
        self._first = first
        self._given = given or {}
        self._taken: dict[int, tuple[int, int | None]] = {}  # console: who it is, its slot if known
        self._last = first - 1  # the highest slot that has been given
        self._looked = False

    def update(self, consoles: Mapping[int, int]) -> None:
        """Take a look: the consoles that have a slot now, each with what tells it from a later one."""
        for number, (identity, _) in list(self._taken.items()):
            if consoles.get(number) != identity:
                del self._taken[number]
        new = sorted(consoles.keys() - self._taken.keys())
        for number in new:
            if number in self._given:
                self._take(number, consoles[number], self._given[number])
        self._infer([n for n in new if n not in self._given], consoles)
        self._looked = True

    def of(self, number: int) -> int | None:
        """Give the slot of a console; None where it has none, or nobody can tell which."""
        return self._taken[number][1] if number in self._taken else None

    def _infer(self, new: Collection[int], consoles: Mapping[int, int]) -> None:
        slots = self._next(len(new))
        # In a row from the lowest free one, as a toolstack numbers them; or a single one that we saw coming.
        certain = slots == [n - 1 + self._first for n in new] or (self._looked and len(new) == 1)
        if any(slot is None for _, slot in self._taken.values()):
            certain = False  # that one has a slot, too
        for number, slot in zip(new, slots, strict=True):
            self._take(number, consoles[number], slot if certain else None)

    def _next(self, count: int) -> list[int]:
        """Give the slots that the kernel gives next."""
        if not self._reuses:
            return list(range(self._last + 1, self._last + 1 + count))
        taken = {slot for _, slot in self._taken.values()}
        every = range(self._first, self._first + len(taken) + count)
        return [slot for slot in every if slot not in taken][:count]

    def _take(self, number: int, identity: int, slot: int | None) -> None:
        self._taken[number] = identity, slot
        if slot is not None:
            self._last = max(self._last, slot)
