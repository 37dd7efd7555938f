"""Finding channels by name, over Xen and over virtio alike."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Final

from xenwire.errors import Conflict, NotFound, TimedOut, Unreachable
from xenwire.guest import pv
from xenwire.guest.channel import GuestChannel, Places
from xenwire.guest.hvc import Slots, reuses_slots
from xenwire.guest.virtio import read_ports
from xenwire.xenstore.blocking import BlockingStore

__all__ = ["Finder"]

_PAUSE: Final = 0.1  # seconds between looks


class Finder:
    """Looks for channels, and remembers which terminal each console has: one that comes later is then known.

    `hvc` names the terminals of consoles where the numbers leave them open: N to K, for /dev/hvcK. `release`
    is the kernel's.
    """

    def __init__(
        self,
        places: Places | None = None,
        *,
        hvc: Mapping[int, int] | None = None,
        release: str = os.uname().release,
    ) -> None:
        self._places = places or Places()
        self._hvc = hvc or {}
        self._reuses = reuses_slots(release)
        self._slots: Slots | None = None

    @property
    def on_xen(self) -> bool:
        """Whether this is a guest of Xen's, with a store. The bus is no sign: many kernels always have it."""
        try:
            return (self._places.sys / "hypervisor/type").read_bytes() == b"xen\n"
        except OSError:
            return False

    def channels(self) -> list[GuestChannel]:
        """Give the channels that are there now.

        Raises Denied where the store is not for this user, Unreachable where Xen has none.
        """
        return [*(self._pv() if self.on_xen else ()), *read_ports(self._places)]

    def find(self, name: str) -> GuestChannel:
        """Give the channel of a name, with a device that can be opened.

        Raises NotFound, Conflict (several have the name), Unreachable (it has no device yet, or none that can
        be told); and as `channels`.
        """
        found = [channel for channel in self.channels() if channel.name == name]
        if not found:
            raise NotFound(
                f"there is no channel {name!r}",
                reason="the host has given this guest none of that name",
                hint="see those that there are: xenwire guest channels",
            )
        if len(found) > 1:
            raise Conflict(
                f"cannot tell which channel {name!r} is meant",
                reason=f"several have that name: {', '.join(channel.source for channel in found)}",
                hint="have the toolstack give each its own name",
            )
        (channel,) = found
        if channel.problem:
            raise Unreachable(
                f"cannot open the channel {name!r}",
                reason=channel.problem.reason,
                hint=channel.problem.hint,
                source=channel.source,
            )
        return channel

    def wait(self, name: str, timeout: float) -> GuestChannel:
        """Give the channel of a name, which may come later. Raises TimedOut, else as `find`."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                return self.find(name)
            except (NotFound, Unreachable) as error:
                if time.monotonic() >= deadline:
                    raise TimedOut(
                        f"waited {timeout:g} s for the channel {name!r}", reason=error.reason, hint=error.hint
                    ) from error
            time.sleep(_PAUSE)

    def _pv(self) -> list[GuestChannel]:
        with BlockingStore.connect(self._places.store) as store:
            consoles = pv.read_consoles(self._places, store)
            if self._slots is None:
                first = 1 if pv.has_primary(store) else 0
                self._slots = Slots(reuses=self._reuses, first=first, given=self._hvc)
        self._slots.update(pv.slot_holders(consoles))
        return list(pv.channels_of(consoles, self._slots, self._places.dev))
