"""The channels that come back, on disk: the store forgets all when the host boots."""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from xenwire.channels.persistent import PERSISTENT, Remembered
from xenwire.errors import UsageError
from xenwire.runtime.files import write_atomic
from xenwire.types import DOM0, DevId, StorePath

if TYPE_CHECKING:
    from xenwire.xenstore import Store, Transaction

__all__ = ["keep", "load"]

_log = logging.getLogger(__name__)


async def load(store: Store, path: Path) -> None:
    """Put what the file has into a store that has nothing yet. A file that makes no sense is set aside."""
    try:
        nodes = _decode(path.read_bytes())
    except FileNotFoundError:
        return
    except (OSError, ValueError, RecursionError, UsageError) as error:
        _log.error("%s cannot be read, and is set aside: %s", path, error)
        path.replace(path.with_suffix(".damaged"))
        return

    async def write(t: Transaction) -> None:
        if not await t.exists(PERSISTENT):
            for node, value in nodes.items():
                await t.write(node, value)

    await store.transact(write)


async def keep(store: Store, path: Path) -> None:
    """Write the file anew whenever what may be wanted after a boot changes, until cancelled."""
    written = None
    async with store.watch(PERSISTENT) as changes:
        async for _ in changes:
            data = await _encode(store)
            if data == written:
                continue
            try:
                write_atomic(path, data, 0o600)
            except OSError as error:
                _log.error(
                    "cannot write %s: %s; what is remembered ends with this boot", path, error.strerror
                )
            written = data


async def _encode(store: Store) -> bytes:
    """Give what may be wanted after a boot, as JSON: domains by uuid, with their channels by devid."""
    kept: dict[str, dict[str, object]] = {}
    for uuid in await store.names(PERSISTENT):
        for devid in await store.names(PERSISTENT / uuid):
            with suppress(UsageError):
                value = await store.get_text(PERSISTENT / uuid / devid) or ""
                found = Remembered.decode(value, DOM0, DevId(devid))
                if found.for_good or found.saved:
                    kept.setdefault(uuid, {})[devid] = json.loads(value)
    return json.dumps(kept, indent=2).encode() + b"\n"


def _decode(data: bytes) -> dict[StorePath, str]:
    """Read what `_encode` has written. Raises ValueError and UsageError."""
    nodes = {}
    domains = json.loads(data)
    if not isinstance(domains, dict) or not all(isinstance(domain, dict) for domain in domains.values()):
        raise ValueError("this is no object of objects")
    for uuid, channels in domains.items():
        for devid, channel in channels.items():
            value = json.dumps(channel)
            Remembered.decode(value, DOM0, DevId(devid))
            nodes[PERSISTENT / uuid / devid] = value
    return nodes
