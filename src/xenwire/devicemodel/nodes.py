"""Where toolstack and device model meet in the store."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from xenwire.types import DOM0, DomId, StorePath

__all__ = ["PAUSED", "RUNNING", "DeviceModelNodes", "RunState", "monitor_sockets", "pid_path", "saved_state"]

RUNNING: Final = "running"
"""What a device model writes to `$QEMU/state` once it serves (seeds 000 and 001), and after `continue`."""

PAUSED: Final = "paused"
"""What it writes there after `save` (seed 001)."""


class RunState(StrEnum):
    """What `$QEMU/runstate` says, as far as callers tell it apart; other words are QEMU's own.

    On a Xen host the hypervisor knows whether a domain runs. Under plain QEMU only the device model does,
    and it says so here (qemu: qapi/run-state.json, plus `crashed`).
    """

    PRELAUNCH = "prelaunch"
    RUNNING = "running"
    PAUSED = "paused"
    SHUTDOWN = "shutdown"
    CRASHED = "crashed"


@dataclass(frozen=True, slots=True)
class DeviceModelNodes:
    """`$QEMU` and what is below it (seed 000)."""

    domid: DomId
    backend_domid: DomId = DOM0

    @property
    def root(self) -> StorePath:
        """`$QEMU`."""
        return StorePath(f"/local/domain/{self.backend_domid}/device-model/{self.domid}")

    @property
    def state(self) -> StorePath:
        """Readiness and the results of commands; by the device model."""
        return self.root / "state"

    @property
    def backends(self) -> StorePath:
        """A node for each backend type that the device model serves."""
        return self.root / "backends"

    @property
    def command(self) -> StorePath:
        """One command at a time; by the toolstack, removed by the device model."""
        return self.root / "command"

    @property
    def parameter(self) -> StorePath:
        """What a command is about, then its answer, or why it has failed."""
        return self.root / "parameter"

    @property
    def log_dirty(self) -> StorePath:
        """`cmd`, by the toolstack, and `ret`, its echo, by the device model (xen: libxl_dom_save.c)."""
        return self.root / "logdirty"

    @property
    def last_command(self) -> StorePath:
        """The last command with its parameter, and what came of it, for people; by the device model."""
        return self.root / "last-command"

    @property
    def runstate(self) -> StorePath:
        """Whether the guest runs (see `RunState`); by the device model."""
        return self.root / "runstate"

    @property
    def failure(self) -> StorePath:
        """Why the device model gave up: an error as JSON; by the device model."""
        return self.root / "failure"

    @property
    def agent(self) -> StorePath:
        """The agent's process, as `pid:start`; by the device model."""
        return self.root / "agent"

    @property
    def qmp(self) -> StorePath:
        """Path of the socket where QEMU's monitor is offered to the toolstack; by the device model."""
        return self.root / "qmp"

    @property
    def qmp_read_only(self) -> StorePath:
        """Path of the socket where it is offered to those who only read; by the device model."""
        return self.root / "qmp-ro"

    @property
    def qemu(self) -> StorePath:
        """QEMU's process, as `pid:start`; by the device model."""
        return self.root / "qemu"

    @property
    def told(self) -> tuple[StorePath, ...]:
        """All that an earlier device model may have left, a stale `running` above all, or was asked."""
        names = (
            *("state", "backends", "command", "parameter", "logdirty", "last-command", "runstate", "failure"),
            *("agent", "qmp", "qmp-ro", "qemu"),
        )
        return tuple(self.root / name for name in names)


def monitor_sockets(folder: Path, domid: DomId) -> tuple[Path, Path]:
    """Give where a device model offers its monitor: to the toolstack, and to those who only read."""
    return folder / f"qmp-{domid}.sock", folder / f"qmp-{domid}-ro.sock"


def saved_state(folder: Path, domid: DomId) -> Path:
    """Give the file where a device model's state is saved, as libxl calls it."""
    return folder / f"qemu-save.{domid}"


def pid_path(domid: DomId) -> StorePath:
    """Give the node of the device model's pid, where libxl has it."""
    return StorePath(f"/local/domain/{domid}/image/device-model-pid")
