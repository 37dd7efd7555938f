"""Where a domain stands in the store (xen: docs/misc/xenstore-paths.pandoc)."""

from __future__ import annotations

import uuid as uuids

from xenwire.types import DomId, StorePath

__all__ = ["domain_path", "libxl_path", "vm_path"]


def domain_path(domid: DomId | int) -> StorePath:
    """Give a domain's home."""
    return StorePath(f"/local/domain/{domid}")


def vm_path(uuid: uuids.UUID) -> StorePath:
    """Give the directory that outlives a domain's reboots."""
    return StorePath(f"/vm/{uuid}")


def libxl_path(domid: DomId | int) -> StorePath:
    """Give the directory that only the toolstack sees."""
    return StorePath(f"/libxl/{domid}")
