"""Channels that come back: which ones a domain is to have whenever it is there, by its uuid.

A domain that reboots, is restored or migrated is a new domain to Xen, and what was attached while it ran is
in no configuration. So each stands in /tool/xenwire/channels/$UUID/$DEVID, as JSON.
"""

from __future__ import annotations

import json
import re
import uuid as uuids
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from xenwire.channels.keys import OUR_TYPE, Channel
from xenwire.channels.options import Options
from xenwire.errors import UsageError
from xenwire.types import DOM0, ChannelKind, ChannelName, DevId, DomId, StorePath

if TYPE_CHECKING:
    from xenwire.xenstore import Nodes, Transaction

__all__ = ["PERSISTENT", "Remembered", "forget", "known", "remember", "remembered", "uuid_of"]

PERSISTENT: Final = StorePath("/tool/xenwire/channels")

_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Remembered:
    """A channel that comes back."""

    channel: Channel
    for_good: bool = True
    """Until it is detached; else only while its domain reboots, since its configuration has it."""
    saved: bool = False
    """Whether its domain was saved, and will look for it under its number."""
    above: DevId = DevId(0)  # noqa: RUF009  immutable
    """The highest number that the domain's toolstack has given to channels of its own."""

    def encode(self) -> str:
        """Give it as the store has it."""
        channel = self.channel
        return json.dumps(
            {
                "name": channel.name,
                "connection": channel.kind,
                "path": channel.path,
                "options": dict(channel.options.nodes()),
                "for_good": self.for_good,
                "saved": self.saved,
                "above": self.above,
            }
        )

    @classmethod
    def decode(cls, value: str, domid: DomId, devid: DevId) -> Self:
        """Read it as a channel of a domain. Raises UsageError if it makes no sense."""
        try:
            found = json.loads(value)
            name, kind = ChannelName(found["name"]), ChannelKind(found["connection"])
            options = Options.parse(found["options"])
            path = found["path"]
            if path is not None if kind in (ChannelKind.NONE, ChannelKind.PTY) else not isinstance(path, str):
                raise UsageError("its path makes no sense")
            channel = Channel(domid, devid, name, kind, path, type=OUR_TYPE, options=options)
            return cls(channel, found["for_good"] is True, found["saved"] is True, DevId(found["above"]))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise UsageError("this is no channel that comes back", reason=value[:200]) from error


async def remember(t: Transaction, uuid: uuids.UUID, channels: Iterable[Remembered]) -> None:
    """Remember channels of a domain, in place of others of the same names or numbers."""
    home = PERSISTENT / str(uuid)
    for new in channels:
        await forget(t, uuid, new.channel.name)
        await t.write(home / new.channel.devid, new.encode())


async def forget(t: Transaction, uuid: uuids.UUID, name: str | None = None) -> bool:
    """Forget a domain's channel of this name, or all that are not for good; tell whether there was any."""
    gone = [
        found.channel.devid
        for found in await remembered(t, uuid)
        if (not found.for_good if name is None else found.channel.name == name)
    ]
    home = PERSISTENT / str(uuid)
    for devid in gone:
        await t.rm(home / devid)
    if gone and not await t.list(home):
        await t.rm(home)
    return bool(gone)


async def uuid_of(nodes: Nodes, domid: DomId) -> uuids.UUID | None:
    """Give a domain's uuid; None if there is no such domain."""
    vm = await nodes.get_text(f"/local/domain/{domid}/vm") or ""
    name = vm.rpartition("/")[2]
    return uuids.UUID(name) if _UUID.fullmatch(name) else None


async def known(nodes: Nodes) -> list[uuids.UUID]:
    """Tell of which domains any channels are remembered."""
    return [uuids.UUID(name) for name in await nodes.names(PERSISTENT) if _UUID.fullmatch(name)]


async def remembered(nodes: Nodes, uuid: uuids.UUID, domid: DomId = DOM0) -> list[Remembered]:
    """Give what is remembered of a domain, by devid, as channels of `domid`. Nonsense is left out."""
    home = PERSISTENT / str(uuid)
    devids = sorted(int(name) for name in await nodes.names(home) if name.isdecimal())
    found = []
    for devid in devids:
        value = await nodes.get(home / devid) or b""
        with suppress(UsageError):
            found.append(Remembered.decode(value.decode("utf-8", "replace"), domid, DevId(devid)))
    return found
