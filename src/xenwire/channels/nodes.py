"""Writing into a channel's directories, which may be gone at any moment, and then are not to come back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from xenwire.errors import XenwireError
from xenwire.types import StorePath

if TYPE_CHECKING:
    from xenwire.xenstore import Store, Transaction

__all__ = ["parse_error", "write_error", "write_key"]


async def write_key(store: Store, folder: StorePath, key: str, value: str) -> None:
    """Write a key of a folder, unless that is gone."""

    async def write(t: Transaction) -> None:
        if await t.exists(folder):
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
