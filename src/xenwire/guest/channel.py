"""A channel as a guest sees it."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

__all__ = ["GuestChannel", "Places", "Problem", "Transport", "text_of"]


class Transport(enum.StrEnum):
    """How a channel gets into the guest."""

    PV = "pv"
    """A named console of Xen's: a terminal."""
    VIRTIO = "virtio"
    """A port of a virtio-serial device."""


class Problem(NamedTuple):
    """Why a channel cannot be opened now, and what to try."""

    reason: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class GuestChannel:
    """A channel that the guest has. Its name is the host's choice and may be anything, `/` and `..` too."""

    name: str
    transport: Transport
    source: str
    """Its device in sysfs, as the kernel calls it: `console-N` or `vportXpY`."""
    identity: int
    """Tells it from a later one with the same source."""
    device: Path | None
    """Its device node; None where there is none, or nobody can tell which."""
    state: str
    """Of a PV channel the frontend's xenbus state; of a port whether somebody is at the host's end."""
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class Places:
    """Where the kernel shows its devices. `store`: the store's device or socket, found by itself if None."""

    sys: Path = Path("/sys")
    dev: Path = Path("/dev")
    store: Path | None = None


def text_of(name: bytes) -> str:
    """Give a name as text, bytes that are no text as \\xNN."""
    return name.decode(errors="backslashreplace")
