"""A device model's arguments in the store: `/vm/$UUID/image/dm-argv/001`, `002`, …

That is how libxl hands them to a Linux stub domain (xen: tools/libs/light/libxl_dm.c).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from xenwire.errors import NotFound
from xenwire.types import DomId, StorePath
from xenwire.xenstore.node import Node

if TYPE_CHECKING:
    from xenwire.xenstore import Store

__all__ = ["argument_nodes", "read_arguments"]


def argument_nodes(vm: StorePath, arguments: Sequence[str]) -> Iterator[Node]:
    """Give the nodes that a toolstack writes; the program's own name is not among the arguments."""
    root = vm / "image" / "dm-argv"
    for index, argument in enumerate(arguments, 1):
        yield Node(root / f"{index:03}", argument)


async def read_arguments(store: Store, domid: DomId) -> list[str]:
    """Read the arguments of a domain's device model. Raises NotFound if there is no domain, or none."""
    vm = await store.get_text(f"/local/domain/{domid}/vm")
    if vm is None:
        raise NotFound(f"there is no domain {domid}", hint="see: xenwire list")
    root = StorePath(vm) / "image" / "dm-argv"
    try:
        # libxl's three digits make the order of names that of the arguments only up to 999.
        names = sorted(await store.list(root), key=lambda name: (len(name), name))
    except NotFound:
        raise NotFound(f"domain {domid} has no arguments for a device model", reason=f"no {root}") from None
    return [
        os.fsdecode(value) for value in await asyncio.gather(*(store.read(root / name) for name in names))
    ]
