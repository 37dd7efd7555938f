"""What a channel's owner may ask of its host end, beside its kind and its path."""

from __future__ import annotations

import grp
import pwd
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from xenwire.channels.spool import MAX_LIMIT
from xenwire.errors import UsageError
from xenwire.types import ChannelKind

__all__ = ["OPTIONS", "PLAIN", "Options"]

_ANY: Final = -1  # a user or group that is not asked for


@dataclass(frozen=True, slots=True)
class Options:
    """How a host end behaves. In the store each is a key of the backend's directory, named as here."""

    replay: int = 0
    """Bytes that were delivered already and that a new client of a socket gets first, as far as they are
    still in the spool. In the store a decimal number."""
    broadcast: bool = False
    """Serve several clients of a socket at once. In the store 0 or 1, as the next two."""
    block: bool = False
    """Have the guest wait for a consumer, rather than dropping the oldest bytes."""
    hold: bool = False
    """Give the guest nothing before its first byte: until then it may echo (channels of Linux begin so)."""
    mode: int | None = None
    """Mode of the socket (else 0600) or of the pty (else the system's). In the store octal."""
    owner: tuple[int, int] | None = None
    """User and group of the socket or the pty. In the store USER, USER:GROUP or :GROUP, names or numbers;
    -1 here is whoever it is without."""

    @classmethod
    def parse(cls, values: Mapping[str, str]) -> Self:
        """Read them as the store has them; other keys do not matter. Raises UsageError."""
        return cls(**{key: parse(key, values[key]) for key, parse in _PARSERS.items() if key in values})

    def nodes(self) -> Iterator[tuple[str, str]]:
        """Give the keys, and what `parse` reads back, of all that is not as usual."""
        if self.replay:
            yield "replay", str(self.replay)
        for key in ("broadcast", "block", "hold"):
            if getattr(self, key):
                yield key, "1"
        if self.mode is not None:
            yield "mode", f"{self.mode:04o}"
        if self.owner is not None:
            uid, gid = ("" if number == _ANY else str(number) for number in self.owner)
            yield "owner", f"{uid}:{gid}" if gid else uid

    def check(self, kind: ChannelKind) -> None:
        """Raise UsageError if one of them means nothing to a channel of this kind."""
        for key, _ in self.nodes():
            if key not in _MEANT_FOR[kind]:
                meant = " or ".join(kind for kind, keys in _MEANT_FOR.items() if key in keys)
                raise UsageError(
                    f"a channel of kind {kind} cannot have {key}",
                    reason=f"that is for a channel of kind {meant}",
                )


PLAIN: Final = Options()
"""What a channel has if nothing is asked for."""


def _bytes(key: str, value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,10}", value) or int(value) > MAX_LIMIT:
        raise _wrong(key, value, f"a number of bytes up to {MAX_LIMIT}")
    return int(value)


def _switch(key: str, value: str) -> bool:
    if value not in ("0", "1"):
        raise _wrong(key, value, "0 or 1")
    return value == "1"


def _mode(key: str, value: str) -> int:
    if not re.fullmatch(r"0?[0-7]{3}", value):
        raise _wrong(key, value, "three octal digits, such as 0660")
    return int(value, 8)


def _owner(key: str, value: str) -> tuple[int, int]:
    user, _, group = value.partition(":")
    try:
        uid = int(user) if user.isdecimal() else pwd.getpwnam(user).pw_uid if user else _ANY
        gid = int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid if group else _ANY
    except (KeyError, ValueError):
        raise _wrong(key, value, "USER, USER:GROUP or :GROUP that this host knows") from None
    if max(uid, gid) >= 1 << 32 or uid == gid == _ANY:
        raise _wrong(key, value, "USER, USER:GROUP or :GROUP")
    return uid, gid


def _wrong(key: str, value: str, expected: str) -> UsageError:
    return UsageError(f"a channel cannot have {key} {value!r}", reason=f"expected {expected}")


_PARSERS: Final[Mapping[str, Callable[[str, str], Any]]] = {
    "replay": _bytes,
    "broadcast": _switch,
    "block": _switch,
    "hold": _switch,
    "mode": _mode,
    "owner": _owner,
}

OPTIONS: Final = tuple(_PARSERS)
"""The keys that `parse` looks at."""

_MEANT_FOR: Final[Mapping[ChannelKind, frozenset[str]]] = {
    ChannelKind.NONE: frozenset(),
    ChannelKind.PTY: frozenset({"block", "hold", "mode", "owner"}),
    ChannelKind.PATH: frozenset(),
    ChannelKind.SOCKET: frozenset(OPTIONS),
}
