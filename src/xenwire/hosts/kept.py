"""A domain's configuration, kept in the store as libxl's JSON for those who ask later.

The store's values have at most 2 KiB (xen: tools/xenstored/core.c, the quota of a node's size), so it is
kept in pieces: `/vm/$UUID/xenwire/config/000`, `001`, ...
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from xenwire.config.libxl.json_writer import to_json
from xenwire.config.libxl.types import DomainConfig
from xenwire.config.libxl.version import NEWEST
from xenwire.errors import NotFound
from xenwire.types import StorePath
from xenwire.xenstore.node import Node
from xenwire.xenstore.perms import Permissions

if TYPE_CHECKING:
    from xenwire.xenstore import Nodes

__all__ = ["config_nodes", "read_config"]

_PIECE: Final = 1536  # bytes


def config_nodes(vm: StorePath, config: DomainConfig) -> Iterator[Node]:
    """Give the nodes that hold a configuration, which the guest may not read."""
    root = vm / "xenwire" / "config"
    dom0 = Permissions.parse("n0")
    yield Node(vm / "xenwire", "", dom0)
    yield Node(root, "", dom0)
    data = to_json(config, NEWEST)
    for index, start in enumerate(range(0, len(data), _PIECE)):
        yield Node(root / f"{index:03}", os.fsdecode(data[start : start + _PIECE]), dom0)


async def read_config(store: Nodes, vm: StorePath) -> DomainConfig:
    """Read a configuration back. Raises NotFound if there is none."""
    from xenwire.config.libxl.json_reader import from_json  # few ask, and all who create would wait for it

    root = vm / "xenwire" / "config"
    try:
        names = sorted(await store.list(root), key=lambda name: (len(name), name))
    except NotFound:
        raise NotFound("the domain's configuration is not known", reason=f"no {root}") from None
    pieces = [await store.read(root / name) for name in names]
    return from_json(b"".join(pieces), DomainConfig, version=NEWEST)
