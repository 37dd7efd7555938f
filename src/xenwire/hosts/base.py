"""What every host of domains can do."""

from __future__ import annotations

import uuid as uuids
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from xenwire.channels.options import PLAIN, Options
from xenwire.errors import Conflict, NotFound, Unreachable, UsageError
from xenwire.types import DOM0, ChannelKind, ChannelName, DevId, DomId

if TYPE_CHECKING:
    from xenwire.channels.keys import Channel
    from xenwire.channels.statistics import ChannelStatistics
    from xenwire.config import DomainConfig
    from xenwire.devicemodel.toolstack import DeviceModel

__all__ = ["Domain", "DomainInfo", "DomainState", "Host", "Progress", "identified", "resolve"]

Progress: TypeAlias = Callable[[str], None]
"""Takes the name of each phase once it is reached."""


class DomainState(StrEnum):
    """What a domain is doing."""

    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    SHUTDOWN = "shutdown"
    """The guest has powered off; its nodes stay until it is destroyed."""
    CRASHED = "crashed"
    """The guest or its device model has died; its nodes stay until it is destroyed."""


@dataclass(frozen=True, slots=True)
class DomainInfo:
    """A domain as it stands now. `memory` is in MiB."""

    domid: DomId
    name: str
    uuid: uuids.UUID
    state: DomainState
    memory: int
    vcpus: int


class Domain(ABC):
    """A domain of a host; it need not exist any more."""

    domid: DomId
    name: str

    @property
    @abstractmethod
    def device_model(self) -> DeviceModel:
        """Its device model."""

    @abstractmethod
    async def info(self) -> DomainInfo:
        """Tell how it stands. Raises NotFound if it is gone."""

    @abstractmethod
    async def config(self) -> DomainConfig:
        """Give the configuration that it was created from. Raises NotFound if it is gone."""

    @abstractmethod
    async def channels(self) -> list[Channel]:
        """Tell its channels, by devid."""

    @abstractmethod
    async def statistics(self) -> dict[DevId, ChannelStatistics] | None:
        """Tell what the channels that we serve have carried; None if nobody does, or has not told in 2 s."""

    @abstractmethod
    async def attach(
        self,
        name: ChannelName,
        kind: ChannelKind,
        path: str | None = None,
        options: Options = PLAIN,
        *,
        backend: DomId = DOM0,
    ) -> Channel:
        """Give it one more channel while it runs. `path` is that of the kinds path and socket.

        `backend`: the domain where it is to end; there `xenwire serve` has to run.

        Raises Conflict (the name is in use, there is no room, this host cannot), TimedOut (its host end
        cannot be opened), UsageError (its kind has no such option), NotFound if the domain is gone.
        """

    @abstractmethod
    async def remember(self, channel: Channel) -> None:
        """Have a channel of its come back whenever a domain with its uuid does, until it is detached."""

    @abstractmethod
    async def detach(self, name: str) -> None:
        """Take a channel away while it runs; it does not come back either.

        Raises NotFound, Conflict (not ours to take), TimedOut.
        """

    async def lost_channels(self) -> list[Channel]:
        """Tell which channels of its configuration it does not have, since its toolstack has lost them."""
        return []

    async def repair_channels(self) -> list[Channel]:
        """Attach ours in place of those that are lost; raises as `attach`."""
        return []

    @abstractmethod
    async def console(self) -> Path:
        """Give the terminal of its primary console. Raises NotFound if it has none."""

    @abstractmethod
    async def pause(self) -> None:
        """Stop its processors. Raises Unreachable if it is dead, TimedOut."""

    @abstractmethod
    async def unpause(self) -> None:
        """Let its processors run. Raises Unreachable if it is dead, TimedOut."""

    @abstractmethod
    async def destroy(self) -> None:
        """End it at once and remove all that it left. Raises NotFound if it is gone."""

    @abstractmethod
    async def wait_state(self, states: Iterable[DomainState], timeout: float) -> DomainInfo:
        """Wait until it is in one of `states`. Raises TimedOut after `timeout` seconds, NotFound if gone."""

    async def channel(self, name: str) -> Channel:
        """Give its channel of this name. Raises NotFound, which names those there are."""
        channels = await self.channels()
        for channel in channels:
            if channel.name == name:
                return channel
        raise NotFound(
            f"domain {self.name} has no channel {name!r}",
            reason="it has " + (", ".join(c.name for c in channels) or "none at all"),
            hint=f"see: xenwire channel list {self.name}",
        )

    async def place(self, name: str) -> Path:
        """Give the socket, terminal or file of its channel of this name.

        Raises NotFound if it has none, Unreachable if that is in another domain than this one, dom0.
        """
        channel = await self.channel(name)
        if channel.backend_domid != DOM0:
            raise Unreachable(
                f"channel {name!r} does not end in this domain",
                reason=f"domain {channel.backend_domid} serves it"
                + (f", where it is {channel.place}" if channel.place else ""),
                hint="use it there",
            )
        if channel.place is None:
            raise NotFound(
                f"channel {name!r} has nothing to attach to",
                reason=f"its kind is {channel.kind}"
                + (f", and domain {self.name} does not run" if channel.kind is ChannelKind.PTY else ""),
                hint=f"see: xenwire channel list {self.name}",
            )
        return Path(channel.place)


class Host(ABC):
    """A place where domains run."""

    uri: str
    used_keys: frozenset[str] | None
    """The keys of xl.cfg that count here; None: all that its xl knows, and xl warns of the others itself."""

    @abstractmethod
    async def domains(self) -> list[DomainInfo]:
        """Tell all its domains, by domid."""

    @abstractmethod
    async def create(
        self,
        config: DomainConfig,
        *,
        text: bytes | None = None,
        paused: bool = False,
        timeout: float = 60.0,
        progress: Progress = lambda _phase: None,
        channel_type: str | None = None,
    ) -> Domain:
        """Create a domain; nothing of it is left where that fails or is cancelled.

        `text`: the xl.cfg that `config` was read from, for an xl that knows more keys than we. `timeout`:
        seconds that it may take to build it, or that its device model has to be ready. `channel_type`: who
        serves the channels of its configuration (see `channels.keys`), None for what is usual here. Raises
        Conflict (name or uuid in use), NotFound (kernel, disk, QEMU), TimedOut, UsageError (what this host
        cannot do), XenwireError with the last words of what failed.
        """

    @abstractmethod
    async def plan(
        self, config: DomainConfig, *, text: bytes | None = None, channel_type: str | None = None
    ) -> list[str]:
        """Tell what `create` would do, a line each: nodes written, programs started. Nothing is done."""

    @abstractmethod
    async def find(self, reference: str) -> Domain:
        """Give the domain of this name, domid, uuid or unique beginning of a name or uuid.

        Raises NotFound, or Conflict, which lists the candidates.
        """


def identified(config: DomainConfig) -> tuple[DomainConfig, str, uuids.UUID]:
    """Give a configuration with its uuid, a random one if it has none; its name, and its uuid.

    Raises UsageError if it has no name.
    """
    name, uuid = config.c_info.name, config.c_info.uuid or uuids.uuid4()
    if not name:
        raise UsageError("the domain has no name", hint='add name = "…" to its configuration')
    return config.replace(c_info=config.c_info.replace(uuid=uuid)), name, uuid


def resolve(reference: str, domains: Sequence[DomainInfo]) -> DomainInfo:
    """Find a domain by domid, else name or uuid, else a unique beginning of them. Raises as `Host.find`."""
    found = (
        [d for d in domains if reference == str(d.domid)]
        or [d for d in domains if reference in (d.name, str(d.uuid))]
        or [
            d
            for d in domains
            if reference and (d.name.startswith(reference) or str(d.uuid).startswith(reference))
        ]
    )
    if len(found) == 1:
        return found[0]
    if found:
        raise Conflict(
            f"{reference!r} could be several domains",
            reason=", ".join(f"{d.name} (domid {d.domid})" for d in found),
            hint="give the whole name, or the domid",
        )
    raise NotFound(
        f"there is no domain {reference!r}",
        reason=f"of {len(domains)} domains none has a name, domid or uuid that begins so",
        hint="see: xenwire list",
        domain=reference,
    )
