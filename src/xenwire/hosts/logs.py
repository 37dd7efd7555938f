"""Where a domain's device model leaves its words."""

from __future__ import annotations

from pathlib import Path

from xenwire.runtime.places import log_dir
from xenwire.types import DomId

__all__ = ["agent_log", "qemu_log"]


def agent_log(domid: DomId) -> Path:
    """Give the log of the agent."""
    return log_dir() / f"dm-{domid}.log"


def qemu_log(domid: DomId) -> Path:
    """Give the log of its QEMU."""
    return log_dir() / f"qemu-dm-{domid}.log"
