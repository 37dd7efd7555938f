"""Where a domain's device model leaves its words."""

from __future__ import annotations

from pathlib import Path

from xenwire.runtime.places import log_dir
from xenwire.runtime.rotation import older
from xenwire.types import DomId

__all__ = ["agent_log", "qemu_log", "remove_logs"]


def agent_log(domid: DomId) -> Path:
    """Give the log of the agent."""
    return log_dir() / f"dm-{domid}.log"


def qemu_log(domid: DomId) -> Path:
    """Give the log of its QEMU."""
    return log_dir() / f"qemu-dm-{domid}.log"


def remove_logs(domid: DomId) -> None:
    """Remove all logs of a domain's device model."""
    for log in (agent_log(domid), qemu_log(domid)):
        for each in (log, older(log)):
            each.unlink(missing_ok=True)
