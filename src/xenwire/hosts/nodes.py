"""A domain's nodes in the store, as libxl lays them out (xen: tools/libs/light/libxl_create.c). Pure."""

from __future__ import annotations

import uuid as uuids
from collections.abc import Iterator
from typing import TYPE_CHECKING

from xenwire.hosts.machine import memory, vcpus
from xenwire.hosts.paths import domain_path, libxl_path, vm_path
from xenwire.types import DomId, StorePath
from xenwire.xenstore.node import Node
from xenwire.xenstore.perms import Permissions

if TYPE_CHECKING:
    from xenwire.config import DomainConfig

__all__ = ["domain_nodes"]


def domain_nodes(domid: DomId, config: DomainConfig, uuid: uuids.UUID) -> Iterator[Node]:
    """Give the nodes of a new domain, parents first, without its devices."""
    home, vm, libxl = domain_path(domid), vm_path(uuid), libxl_path(domid)
    dom0 = Permissions.parse("n0")
    readable = Permissions.parse("n0", f"r{domid}")
    own = Permissions.parse(f"n{domid}")
    name = config.c_info.name or ""
    first, most = vcpus(config)
    kib = memory(config)

    yield Node(vm, "", readable)
    yield Node(vm / "uuid", str(uuid), readable)
    yield Node(vm / "name", name, readable)
    yield Node(vm / "image", "", dom0)

    yield Node(home, "", readable)
    yield Node(home / "vm", vm, readable)
    yield Node(home / "name", name, readable)
    yield Node(home / "domid", str(domid), readable)
    for vcpu in range(most):
        yield Node(home / "cpu" / vcpu / "availability", "online" if vcpu < first else "offline")
    yield Node(home / "memory" / "static-max", str(kib))
    yield Node(home / "memory" / "target", str(config.b_info.target_memkb or kib))
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
