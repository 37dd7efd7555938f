"""What `xl list` prints, as typed values. Pure.

The formats are those of Xen 4.17 (xen: tools/xl/xl_list.c), and are checked: xl promises none.
"""

from __future__ import annotations

import enum
import os
import re
import uuid as uuids
from dataclasses import dataclass
from typing import Final

from xenwire.errors import ProtocolError, UsageError
from xenwire.types import DomId

__all__ = ["Flag", "ListedDomain", "parse_table"]


class Flag(enum.Flag):
    """What `xl list` shows of a domain's state, in its order (xl(1)). A runnable domain may have none."""

    RUNNING = enum.auto()
    """It runs on a processor right now."""
    BLOCKED = enum.auto()
    """Its processors wait for something."""
    PAUSED = enum.auto()
    SHUTDOWN = enum.auto()
    """The guest has shut down, to be rebooted or saved perhaps, or crashed."""
    CRASHED = enum.auto()
    """It has crashed, or its watchdog has ended it."""
    DYING = enum.auto()
    """It is being destroyed."""


@dataclass(frozen=True, slots=True)
class ListedDomain:
    """A row of `xl list -v`. `memory` is in MiB, `seconds` of processor time.

    `name` is `(null)` for a domain without one, which is about to come or to go. Blanks at its end are lost.
    """

    domid: DomId
    name: str
    uuid: uuids.UUID
    """Domain-0's is all zeros."""
    memory: int
    vcpus: int
    flags: Flag
    seconds: float


_LETTERS: Final = ("r", "b", "p", "s", "cw", "d")
"""Those of each flag. The last but one tells why it has shut down: `r` to reboot, `s` to be saved."""

_HEADER: Final = re.compile(rb"Name +ID +Mem +VCPUs\s+State\s+Time\(s\) +UUID [^\n]*\n")
_ROW: Final = re.compile(
    rb"([^\0]{0,4096}?) +([0-9]{1,5}) +([0-9]{1,12}) +([0-9]{1,9}) +"
    rb"([r-][b-][p-][s-][-rscwS?][d-]) +([0-9]{1,12}\.[0-9])"
    rb" ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}) [^\n]*\n"
)
"""Read from the right, since a name may hold anything, a line break too."""


def parse_table(output: bytes) -> list[ListedDomain]:
    """Read what `xl list -v` has printed. Raises ProtocolError if it makes no sense."""
    header = _HEADER.match(output)
    if header is None:
        raise _nonsense(output)
    domains, place = [], header.end()
    while place < len(output):
        row = _ROW.match(output, place)
        if row is None:
            raise _nonsense(output[place:])
        name, domid, memory, vcpus, states, seconds, uuid = row.groups()
        flags = Flag(0)
        for state, letters, flag in zip(states.decode(), _LETTERS, Flag, strict=True):
            if state in letters:
                flags |= flag
        try:
            number = DomId(domid.decode())
        except UsageError as error:
            raise _nonsense(row[0]) from error
        domains.append(
            ListedDomain(
                number,
                os.fsdecode(name),
                uuids.UUID(uuid.decode()),
                int(memory),
                int(vcpus),
                flags,
                float(seconds),
            )
        )
        place = row.end()
    return domains


def _nonsense(output: bytes) -> ProtocolError:
    return ProtocolError(
        "xl has printed a listing that makes no sense",
        reason=f"it begins with {output[:80]!r}",
        hint="this was written for Xen 4.17 to 4.20",
    )
