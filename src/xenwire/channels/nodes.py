"""Writing into a channel's directories, which may be gone at any moment, and then are not to come back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from xenwire.errors import XenwireError
from xenwire.types import StorePath

if TYPE_CHECKING:
    from xenwire.xenstore import Store, Transaction

_LONGEST: Final = 3000  # bytes of a node's value, with room for its path
_CUT: Final = 200  # characters of what is said, where it is longer; each may take six bytes

__all__ = ["parse_error", "write_error", "write_key"]


async def write_key(store: Store, folder: StorePath, key: str, value: str) -> None:
    """Write a key of a folder, unless that is gone."""

    async def write(t: Transaction) -> None:
        if await t.exists(folder):
            await t.write(folder / key, value)

    await store.transact(write)


async def write_error(store: Store, backend: StorePath, error: XenwireError) -> None:
    """Say in a backend why its channel is not served."""
    text = json.dumps(error.as_dict(), default=str)
    if len(text) > _LONGEST:
        short = XenwireError(error.message[:_CUT], reason=(error.reason or "")[:_CUT])
        text = json.dumps(short.as_dict())
    await write_key(store, backend, "error", text)


def parse_error(text: bytes) -> XenwireError:
    """Give the error that a backend tells of."""
    try:
        return XenwireError.from_dict(json.loads(text))
    except (ValueError, KeyError, TypeError, RecursionError):
        return XenwireError("its backend has failed", reason=repr(text[:200]))
