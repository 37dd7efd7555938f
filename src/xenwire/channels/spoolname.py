"""The names of spools: whose they are can be told when nobody is there any more."""

from __future__ import annotations

import re
import uuid as uuids
from dataclasses import dataclass
from typing import Final, Self

from xenwire.errors import UsageError
from xenwire.types import ChannelName, DevId, DomId

__all__ = ["SpoolName"]

_NAME: Final = re.compile(
    r"([0-9]{1,5})-([0-9]{1,10})-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|none)-([A-Za-z0-9._-]{1,127})"
)


@dataclass(frozen=True, slots=True)
class SpoolName:
    """Whose spool it is. `str` gives the file's name: at most 181 bytes."""

    domid: DomId
    devid: DevId
    uuid: uuids.UUID | None
    """Of its domain. None where that has none."""
    channel: ChannelName

    @classmethod
    def parse(cls, name: str) -> Self | None:
        """Read a file's name; None if it is no spool's."""
        match = _NAME.fullmatch(name)
        if match is None:
            return None
        domid, devid, uuid, channel = match.groups()
        try:
            return cls(
                DomId(domid), DevId(devid), None if uuid == "none" else uuids.UUID(uuid), ChannelName(channel)
            )
        except UsageError:
            return None

    @property
    def key(self) -> tuple[DomId, DevId]:
        """Which channel it is, as long as its domain is there."""
        return self.domid, self.devid

    def is_predecessor_of(self, other: Self) -> bool:
        """Tell whether it is the same channel's, of a domain that has gone."""
        return (
            self.uuid is not None
            and (self.uuid, self.channel) == (other.uuid, other.channel)
            and self.key != other.key
        )

    def __str__(self) -> str:
        return f"{self.domid}-{self.devid}-{self.uuid or 'none'}-{self.channel}"
