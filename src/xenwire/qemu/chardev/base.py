"""What all character devices have in common. Pure.

Facts: qemu: chardev/char.c, qapi/char.json (ChardevCommon).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Self

from xenwire.errors import UsageError
from xenwire.qemu.chardev.forms import BOOL, PATH
from xenwire.qemu.chardev.record import (
    BASELINE,
    Record,
    Version,
    members_of,
    options_of,
    read_members,
    read_options,
    require,
    said,
)
from xenwire.qemu.options import check_id, format_option

__all__ = ["MUX_OBSTACLE", "Chardev"]

MUX_OBSTACLE: Final = "a multiplexer takes byte 0x01 for a command: 0x01 x ends QEMU"


@dataclass(frozen=True, slots=True)
class Chardev(Record):
    """A character device: the host end of one of a guest's wires. The base of all kinds.

    `mux`: up to four frontends share it (command line only, see `to_qmp`). `logfile`: a file that gets a copy
    of all output; it is emptied first unless `logappend`. Raises UsageError for `logappend` without it.
    """

    noun: ClassVar[str] = "chardev"
    since: ClassVar[Version] = BASELINE
    """The QEMU that the kind came with, if it is newer than the baseline."""
    _obstacle: ClassVar[str | None] = None
    _duplex: ClassVar[bool] = True

    mux: bool = field(default=False, kw_only=True, metadata=said(BOOL, "mux", None))
    logfile: str | None = field(default=None, kw_only=True, metadata=said(PATH, "logfile", "logfile"))
    logappend: bool = field(default=False, kw_only=True, metadata=said(BOOL, "logappend", "logappend"))

    def __post_init__(self) -> None:
        Record.__post_init__(self)  # super() does not know a class with slots in Python 3.11
        if self.logappend and self.logfile is None:
            raise UsageError(
                "logappend without logfile", reason="there is no log to append to", hint="give logfile too"
            )

    @property
    def qmp_obstacle(self) -> str | None:
        """Why it cannot carry QMP; None if it can. Monitors are made on the command line only."""
        return MUX_OBSTACLE if self.mux else self._obstacle

    @property
    def duplex(self) -> bool:
        """Whether bytes go both ways."""
        return self._duplex

    @property
    def passes_fds(self) -> bool:
        """Whether descriptors can come along with bytes (SCM_RIGHTS), as for QMP's `getfd`."""
        return False

    def to_option(self, chardev_id: str, version: Version = BASELINE) -> str:
        """Give the argument of `-chardev` for a QEMU of `version` or later.

        Raises UsageError for a bad id, and for what that QEMU's command line cannot say.
        """
        require(self.kind, self.since, version)
        return format_option(self.kind, {"id": check_id(chardev_id), **self.options(version)})

    def to_qmp(self, chardev_id: str, version: Version = BASELINE) -> dict[str, Any]:
        """Give the arguments of QMP's `chardev-add` for a QEMU of `version` or later.

        Raises UsageError for a bad id, for what that QEMU's QMP cannot say, and for `mux`: there it takes two
        chardevs, this one and a Mux on top.
        """
        require(self.kind, self.since, version)
        if self.mux:
            raise UsageError(
                f"{self.kind} chardev with mux cannot be added over QMP",
                reason="chardev-add makes one chardev, and these are two",
                hint=f"add it as {chardev_id}-base without mux, then Mux({chardev_id}-base) as {chardev_id}",
            )
        return {
            "id": check_id(chardev_id),
            "backend": {"type": self.kind, "data": self.members(version)},
        }

    def options(self, version: Version) -> dict[str, str | int | bool]:
        """Give its options but the kind and the id. Raises what `to_option` raises."""
        return options_of(self, version)

    def members(self, version: Version) -> dict[str, Any]:
        """Give its `data` in QMP. Raises what `to_qmp` raises."""
        return members_of(self, version)

    @classmethod
    def from_options(cls, options: dict[str, str]) -> Self:
        """Take its options out of `options`. Raises UsageError."""
        return cls(**read_options(cls, options))

    @classmethod
    def from_members(cls, members: dict[str, Any]) -> Self:
        """Take its members out of QMP's `data`. Raises UsageError."""
        return cls(**read_members(cls, members))
