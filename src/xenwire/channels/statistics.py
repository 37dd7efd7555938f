"""What a channel has carried, and how it stands, in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from xenwire.errors import ProtocolError, UsageError
from xenwire.types import ChannelKind, ChannelName, DevId, DomId

if TYPE_CHECKING:
    from xenwire.channels.served import ServedChannel

__all__ = ["ChannelStatistics"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelStatistics:
    """A channel in numbers. None is what is not known: all but `error` of a channel that cannot be served.

    What came from the guest is counted in the spool, from the channel's beginning on: from_guest = delivered
    + dropped + waiting. The other counts begin anew with each process that serves it.
    """

    domid: DomId
    devid: DevId
    name: ChannelName | None = None
    kind: ChannelKind | None = None
    joined: bool = False
    """Whether the guest's end is there: a driver is, and keeps to the protocol."""
    from_guest: int | None = None
    """Bytes that came from the guest."""
    delivered: int | None = None
    """Bytes of these that a consumer has."""
    dropped: int | None = None
    """Bytes of these that had to go, since nobody took them."""
    waiting: int | None = None
    """Bytes of these that are kept for a consumer."""
    to_guest: int | None = None
    """Bytes that the guest was given."""
    clients: int | None = None
    """Clients of a socket now. Who has a pty open cannot be told."""
    sent_away: int | None = None
    """Clients that had to leave, since they were too slow."""
    generation: int | None = None
    """How often the guest's end has begun anew, the first time included."""
    error: str | None = None
    """Why the channel, or its guest's end, is not served."""

    @classmethod
    def of(cls, served: ServedChannel, error: str | None) -> Self:
        """Tell of a channel that is served."""
        channel, wire = served.channel, served.wire
        spool, endpoint = wire.spool, wire.endpoint
        return cls(
            domid=channel.domid,
            devid=channel.devid,
            name=channel.name,
            kind=channel.kind,
            joined=wire.guest is not None,
            from_guest=spool.appended,
            delivered=spool.delivered,
            dropped=spool.dropped,
            waiting=len(spool),
            to_guest=wire.received,
            clients=None if channel.kind is ChannelKind.PTY else endpoint.clients,
            sent_away=endpoint.sent_away,
            generation=spool.generation,
            error=error or served.broken,
        )

    def as_dict(self) -> dict[str, Any]:
        """Give them as JSON has them."""
        return {key: getattr(self, key) for key in self.__slots__}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read them back. What a newer process tells beside them is left out. Raises ProtocolError."""
        try:
            known = {key: values[key] for key in cls.__slots__ if key in values}
            known["domid"], known["devid"] = DomId(known["domid"]), DevId(known["devid"])
            if known.get("name") is not None:
                known["name"] = ChannelName(known["name"])
            if known.get("kind") is not None:
                known["kind"] = ChannelKind(known["kind"])
        except (KeyError, TypeError, ValueError, UsageError) as error:
            raise ProtocolError("these are no statistics of a channel", reason=repr(error)) from error
        return cls(**known)
