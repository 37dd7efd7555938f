"""The channels of a configuration as devices: a module apart, since libxl's types take long to import."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from xenwire.channels.keys import Channel
from xenwire.channels.port import LAST_DEVID
from xenwire.config.libxl.types import (
    DeviceChannel,
    DeviceChannelNone,
    DeviceChannelPath,
    DeviceChannelPty,
    DeviceChannelSocket,
)
from xenwire.errors import Conflict, UsageError
from xenwire.types import ChannelKind, ChannelName, DevId, DomId

__all__ = ["assign_devids"]


def assign_devids(configs: Iterable[DeviceChannel], domid: DomId, most: int = LAST_DEVID) -> list[Channel]:
    """Number a domain's channels: as they ask, else the lowest free from 1. 0 is the primary console.

    `most`: the highest number that this guest can have. Relative paths count from this process's folder.
    Raises UsageError for a channel without a proper name, without a kind or without the path that its kind
    needs; Conflict for a name or a number asked for twice, the number 0, or one over `most`.
    """
    configs = list(configs)
    names: set[str] = set()
    taken: set[int] = set()
    for config in configs:
        name = ChannelName(config.name or "")
        if name in names:
            raise Conflict(
                f"two channels have the name {name}", reason="the guest finds a channel by its name"
            )
        names.add(name)
        if config.devid != -1:
            if config.devid in taken or not 1 <= config.devid <= most:
                raise Conflict(
                    f"channel {name!r} cannot have devid {config.devid}",
                    reason="0 is the primary console"
                    if config.devid == 0
                    else f"another channel has it, or it is over {most}",
                    hint="leave devid out: the lowest free number is taken",
                )
            taken.add(config.devid)
    free = (n for n in range(1, most + 1) if n not in taken)
    channels = []
    for config in configs:
        devid = next(free, None) if config.devid == -1 else config.devid
        if devid is None:
            raise Conflict(
                f"there is no room for channel {config.name!r}", reason=f"a guest has at most {most}"
            )
        kind, path = _endpoint(config)
        place = None if path is None else str(Path(path).absolute())
        channels.append(Channel(domid, DevId(devid), ChannelName(config.name or ""), kind, place))
    return channels


def _endpoint(config: DeviceChannel) -> tuple[ChannelKind, str | None]:
    """Give a channel's kind, and its path if the kind has one."""
    match config.connection:
        case DeviceChannelNone():
            return ChannelKind.NONE, None
        case DeviceChannelPty():
            return ChannelKind.PTY, None
        case DeviceChannelPath(path=path):
            kind = ChannelKind.PATH
        case DeviceChannelSocket(path=path):
            kind = ChannelKind.SOCKET
        case _:
            raise UsageError(
                f"channel {config.name} has no kind",
                hint=f"add connection=…, one of {', '.join(ChannelKind)}",
            )
    if not path:
        raise UsageError(
            f"channel {config.name} has no path", reason=f"kind {kind} needs one", hint="add path=/… to it"
        )
    return kind, path
