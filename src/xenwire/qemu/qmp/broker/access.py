"""What a monitor socket lets its clients do."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

__all__ = ["QUERY_CLIENTS", "Access", "only_reads"]

QUERY_CLIENTS: Final = "__xenwire_query-clients"
"""The broker's own command: who is connected. (QMP keeps names that begin so for others than QEMU.)"""

_READS: Final = frozenset(
    {
        "device-list-properties",
        "qom-list",
        "qom-list-properties",
        "qom-list-types",
        "trace-event-get-state",
        "x-debug-block-dirty-bitmap-sha256",
        QUERY_CLIENTS,
    }
)
_READ_PREFIXES: Final = ("query-", "x-query-")


class Access(StrEnum):
    """Who a socket is for."""

    FULL = "full"
    """The toolstack: every command."""
    MONITOR = "monitor"
    """Whoever watches: the commands that only read."""

    def allows(self, command: str) -> bool:
        """Whether a command may pass."""
        return self is Access.FULL or only_reads(command)


def only_reads(command: str) -> bool:
    """Whether a command of QEMU's changes nothing; one that is not known here may change something."""
    return command in _READS or command.startswith(_READ_PREFIXES)
