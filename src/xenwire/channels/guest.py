"""The guest's end of a channel, as its backend sees it, and how a backend comes by it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from hashlib import blake2b
from typing import TYPE_CHECKING

from xenwire.channels.spool import Spool

if TYPE_CHECKING:
    from xenwire.channels.keys import Channel
    from xenwire.xenstore import Nodes

__all__ = ["GuestEnd", "Guests", "Offer", "identity"]


class GuestEnd(ABC):
    """Where a guest's bytes come from and go to. Nothing in it waits.

    Every method raises ProtocolError if the guest broke it.
    """

    @property
    def comes_again(self) -> bool:
        """Whether `ready` is called again soon if it tells that bytes were moved: they may wait till then."""
        return False

    @abstractmethod
    def take_output(self, spool: Spool, limit: int) -> int:
        """Move up to `limit` bytes that the guest has written into the spool; tell how many."""

    @abstractmethod
    def room(self) -> int:
        """Tell how many bytes the guest takes now."""

    @abstractmethod
    def give_input(self, spool: Spool, data: bytes) -> None:
        """Hand the guest bytes for which there is room."""

    @abstractmethod
    def settle(self) -> None:
        """Tell the guest what has moved, and listen to it again."""

    @abstractmethod
    def close(self) -> None:
        """Let go of it."""


class Offer(ABC):
    """A guest's end that may be joined. Two are equal if they stand for the same one."""

    @abstractmethod
    async def join(self, spool: Spool, ready: Callable[[], bool]) -> GuestEnd:
        """Join it, and go on where the spool ends if that knows it.

        `ready` is called when the guest's end can go on, and tells whether anything was moved. Raises
        Unreachable and TimedOut if that may be tried again, else XenwireError: the guest has offered nothing.
        """


class Guests(ABC):
    """How the guests of a host are reached."""

    @abstractmethod
    async def offer(self, store: Nodes, channel: Channel, uuid: str) -> Offer | None:
        """Read what a channel's frontend offers; None if that makes no sense. `uuid` is its domain's."""


def identity(*parts: object) -> int:
    """Give 64 bits that tell one guest's end from all others, of all that does so."""
    text = "\0".join(map(str, parts)).encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest())
