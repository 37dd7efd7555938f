"""The host ends of channels: nothing, a pty, a log, a socket."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from xenwire.channels.endpoints.base import Endpoint
from xenwire.channels.endpoints.log import LogEndpoint
from xenwire.channels.endpoints.none import NoEndpoint
from xenwire.channels.endpoints.pty import PtyEndpoint
from xenwire.channels.endpoints.socket import SocketEndpoint
from xenwire.channels.options import PLAIN, Options
from xenwire.types import ChannelKind

if TYPE_CHECKING:
    from xenwire.channels.keys import Channel
    from xenwire.channels.spool import Spool

__all__ = ["Endpoint", "make_endpoint"]


def make_endpoint(
    channel: Channel, spool: Spool, ready: Callable[[], object], options: Options = PLAIN
) -> Endpoint:
    """Give the host end of a channel, not open yet. `ready` is called when it can go on."""
    match channel.kind:
        case ChannelKind.NONE:
            return NoEndpoint(spool, ready)
        case ChannelKind.PTY:
            return PtyEndpoint(spool, options, ready)
        case ChannelKind.PATH:
            return LogEndpoint(Path(channel.path or ""), spool, ready)
        case ChannelKind.SOCKET:
            return SocketEndpoint(Path(channel.path or ""), spool, options, ready)
