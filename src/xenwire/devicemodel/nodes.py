"""Where toolstack and device model meet in the store."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from xenwire.types import DOM0, DomId, StorePath

__all__ = ["Command", "DeviceModelNodes", "RunState", "pid_path"]

RUNNING: Final = "running"
"""What a device model writes to `$QEMU/state` once it serves (seeds 000 and 001), and after `continue`."""

PAUSED: Final = "paused"
"""What it writes there after `pause`."""


class Command(StrEnum):
    """Words for `$QEMU/command`."""

    CONTINUE = "continue"
    """Let the guest's processors run (seed 001)."""
    PAUSE = "pause"
    """Stop them. Ours: where there is no hypervisor to ask, the device model does it."""


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
    def qemu(self) -> StorePath:
        """QEMU's process, as `pid:start`; by the device model."""
        return self.root / "qemu"


def pid_path(domid: DomId) -> StorePath:
    """Give the node of the device model's pid, where libxl has it."""
    return StorePath(f"/local/domain/{domid}/image/device-model-pid")
