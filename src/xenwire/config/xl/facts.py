"""What xl knows of the host while it reads a configuration. Nothing here is ever asked of this machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from xenwire.config.libxl.version import V4_17, XenVersion

__all__ = ["HostFacts", "XlConf"]


@dataclass(frozen=True, slots=True)
class XlConf:
    """The settings of /etc/xen/xl.conf that change what a configuration means; by default a stock file."""

    run_hotplug_scripts: bool = True
    claim_mode: bool = True
    max_grant_frames: int | None = None
    max_maptrack_frames: int | None = None
    max_grant_version: int | None = None
    blkdev_start: str | None = None
    vif_script: str | None = None
    vif_bridge: str | None = None
    vif_gatewaydev: str | None = None
    vif_backend: str | None = None


@dataclass(frozen=True, slots=True)
class HostFacts:
    """A host with the xl of a Xen release, to read a configuration as that xl would."""

    version: XenVersion = V4_17
    cpus: int = 4
    nodes: int = 1
    """NUMA nodes; all processors belong to the first."""
    firmware: str = "/usr/lib/xen-4.17/boot"
    """The folder of Xen's firmware for guests."""
    conf: XlConf = XlConf()
    random: Callable[[int], bytes] = os.urandom
    """Gives so many random bytes."""
