"""Values that every floor shares, valid by construction."""

from __future__ import annotations

import enum
import re
from typing import Final, Self

from xenwire.errors import UsageError

__all__ = ["DOM0", "MAX_DOMID", "ChannelKind", "ChannelName", "DevId", "DomId", "StorePath"]

MAX_DOMID: Final = 0x7FEF
"""The last domain id of an ordinary domain; 0x7FF0 and above are reserved (Xen public/xen.h)."""


def _decimal(value: int | str) -> int | None:
    """Give a non-negative number, or None. Text must be plain ASCII digits, without sign or blanks."""
    if isinstance(value, str):
        return int(value) if re.fullmatch(r"[0-9]{1,10}", value) else None
    return value if value >= 0 else None


class DomId(int):
    """A domain id, 0 to 0x7FEF."""

    __slots__ = ()

    def __new__(cls, value: int | str) -> Self:
        """Raise UsageError if `value` is not a decimal domain id."""
        number = _decimal(value)
        if number is None or number > MAX_DOMID:
            raise UsageError(f"not a domain id: {value!r}", hint=f"domain ids are 0 to {MAX_DOMID}")
        return super().__new__(cls, number)


DOM0: Final = DomId(0)
"""The domain of the toolstack and, usually, of the backends."""


class DevId(int):
    """The number of a device of one class in one domain, from 0."""

    __slots__ = ()

    def __new__(cls, value: int | str) -> Self:
        """Raise UsageError if `value` is not a decimal device id."""
        number = _decimal(value)
        if number is None or number > 0xFFFF_FFFF:
            raise UsageError(f"not a device id: {value!r}")
        return super().__new__(cls, number)


class ChannelKind(enum.StrEnum):
    """What a channel's host end does with the bytes (seed 004; the store key is `connection`)."""

    NONE = "none"
    """Guest reads block, guest writes are thrown away."""
    PTY = "pty"
    """A pty in the backend domain."""
    PATH = "path"
    """Guest output is appended to a file in the backend domain."""
    SOCKET = "socket"
    """A listening Unix socket in the backend domain; one client after another."""


class ChannelName(str):
    """The name by which a guest finds a channel: 1 to 127 bytes of `A-Z a-z 0-9 . _ -`.

    The man page xen-pv-channel(7) advises reverse domain names with a version, for example
    `org.example.agent.0`.
    """

    __slots__ = ()
    MAX_BYTES: Final = 127

    def __new__(cls, value: str) -> Self:
        """Raise UsageError if `value` is empty, too long or has other characters."""
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,127}", value):
            raise UsageError(
                f"not a channel name: {value!r}" if value else "a channel has no name",
                reason="a name has 1 to 127 letters, digits, dots, underscores or dashes",
                hint="use a reverse domain name with a version, such as name=org.example.agent.0",
            )
        return super().__new__(cls, value)


class StorePath(str):
    """A path in Xenstore: `/`-separated names of `A-Z a-z 0-9 - _ @` (xen: docs/misc/xenstore.txt).

    Absolute if it starts with `/`, else relative to the home of the client's domain. `/` joins:
    `StorePath("/local/domain") / 3 / "name"`.
    """

    __slots__ = ()

    def __new__(cls, value: str) -> Self:
        """Raise UsageError if `value` is empty, has `//`, a trailing `/` or an illegal character."""
        if not _STORE_PATH.fullmatch(value):
            raise UsageError(
                f"not a store path: {value!r}",
                hint="names have letters, digits, '-', '_' and '@', with single slashes between them",
            )
        return super().__new__(cls, value)

    def __truediv__(self, name: str | int) -> StorePath:
        return StorePath(f"/{name}" if self == "/" else f"{self}/{name}")

    @property
    def name(self) -> str:
        """The last component."""
        return self.rpartition("/")[2]

    @property
    def parent(self) -> StorePath:
        """The path without its last component; of `/` it is `/`."""
        head = self.rpartition("/")[0]
        return StorePath(head or "/")


_STORE_PATH: Final = re.compile(r"/|/?[A-Za-z0-9_@-]+(?:/[A-Za-z0-9_@-]+)*")
