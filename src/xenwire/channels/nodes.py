"""Reading and writing in a channel's directories, which may go at any moment, and then are not to come back.

To a domain that is not privileged, such as a driver domain, what is gone in a guest's directory is not
missing, but denied: the store says ENOENT only to who may read the nearest ancestor that is left (xen:
tools/xenstored/core.c, errno_from_parents).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from xenwire.errors import Denied, XenwireError
from xenwire.types import StorePath

if TYPE_CHECKING:
    from xenwire.xenstore import Nodes, Store, Transaction

__all__ = ["parse_error", "read_readable", "write_error", "write_key"]


async def read_readable(store: Nodes, paths: Iterable[StorePath]) -> list[bytes | None]:
    """Read nodes; None stands for those that are not there, or that this domain may not read."""

    async def read(path: StorePath) -> bytes | None:
        try:
            return await store.get(path)
        except Denied:
            return None

    return await asyncio.gather(*map(read, paths))


async def write_key(store: Store, folder: StorePath, key: str, value: str) -> None:
    """Write a key of a folder, unless that is gone."""

    async def write(t: Transaction) -> None:
        try:
            there = await t.exists(folder)
        except Denied:
            there = False
        if there:
            await t.write(folder / key, value)

    await store.transact(write)


async def write_error(store: Store, backend: StorePath, error: XenwireError) -> None:
    """Say in a backend why its channel is not served."""
    await write_key(store, backend, "error", error.as_json())


def parse_error(text: bytes) -> XenwireError:
    """Give the error that a backend tells of."""
    try:
        return XenwireError.from_dict(json.loads(text))
    except (ValueError, KeyError, TypeError, RecursionError):
        return XenwireError("its backend has failed", reason=repr(text[:200]))
