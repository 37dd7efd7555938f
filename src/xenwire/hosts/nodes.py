"""A domain's nodes in the store, as libxl lays them out (xen: tools/libs/light/libxl_create.c). Pure."""

from __future__ import annotations

import uuid as uuids
from collections.abc import Iterator
from typing import TYPE_CHECKING

from xenwire.types import DomId, StorePath
from xenwire.xenstore.node import Node
from xenwire.xenstore.perms import Permissions

if TYPE_CHECKING:
    from xenwire.config import DomainConfig

__all__ = ["domain_nodes", "domain_path", "libxl_path", "vm_path"]


def domain_path(domid: DomId | int) -> StorePath:
    """Give a domain's home."""
    return StorePath(f"/local/domain/{domid}")


def vm_path(uuid: uuids.UUID) -> StorePath:
    """Give the directory that outlives a domain's reboots."""
    return StorePath(f"/vm/{uuid}")


def libxl_path(domid: DomId | int) -> StorePath:
    """Give the directory that only the toolstack sees."""
    return StorePath(f"/libxl/{domid}")


def domain_nodes(domid: DomId, config: DomainConfig, uuid: uuids.UUID) -> Iterator[Node]:
    """Give the nodes of a new domain, parents first, without its devices."""
    home, vm, libxl = domain_path(domid), vm_path(uuid), libxl_path(domid)
    dom0 = Permissions.parse("n0")
    readable = Permissions.parse("n0", f"r{domid}")
    own = Permissions.parse(f"n{domid}")
    kib = config.memory * 1024

    yield Node(vm, "", readable)
    yield Node(vm / "uuid", str(uuid), readable)
    yield Node(vm / "name", config.name, readable)
    yield Node(vm / "image", "", dom0)

    yield Node(home, "", readable)
    yield Node(home / "vm", vm, readable)
    yield Node(home / "name", config.name, readable)
    yield Node(home / "domid", str(domid), readable)
    for vcpu in range(config.vcpus):
        yield Node(home / "cpu" / vcpu / "availability", "online")
    yield Node(home / "memory" / "static-max", str(kib))
    yield Node(home / "memory" / "target", str(kib))
    yield Node(home / "device", "", readable)
    yield Node(home / "device" / "console", "", readable)
    yield Node(home / "control", "", readable)
    for name in ("control/shutdown", "data", "drivers", "feature", "attr", "error"):
        yield Node(StorePath(f"{home}/{name}"), "", own)

    console, backend = home / "console", domain_path(0) / "backend" / "console" / domid / 0
    yield Node(console, "", readable)
    for key, value in (
        ("backend", backend),
        ("backend-id", "0"),
        ("limit", "1048576"),
        ("type", "ioemu"),
        ("output", "pty"),
        ("tty", ""),
    ):
        yield Node(console / key, value)
    yield Node(domain_path(0) / "backend" / "console" / domid, "", readable)
    yield Node(backend, "", readable)
    for key, value in (
        ("frontend", console),
        ("frontend-id", str(domid)),
        ("online", "1"),
        ("state", "1"),
        ("protocol", "vt100"),
    ):
        yield Node(backend / key, value)

    yield Node(libxl, "", dom0)
    yield Node(libxl / "dm-version", "qemu_xen")
    yield Node(libxl / "type", "hvm")
