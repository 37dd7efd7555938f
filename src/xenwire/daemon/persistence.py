"""The channels that come back, on disk: the store forgets all when the host boots."""

from __future__ import annotations

import asyncio
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from xenwire.channels.persistent import PERSISTENT, Remembered
from xenwire.errors import UsageError
from xenwire.runtime.files import write_atomic
from xenwire.types import DOM0, DevId, StorePath

if TYPE_CHECKING:
    from xenwire.xenstore import Store, Transaction

__all__ = ["keep", "load"]

_log = logging.getLogger(__name__)

_PAUSE: Final = 0.2  # seconds: what is remembered often changes many times at once


async def load(store: Store, path: Path) -> bool:
    """Put what the file has into a store that has nothing yet, and tell whether the file may be written anew.

    A file that makes no sense is set aside.
    """
    try:
        nodes = _decode(path.read_bytes())
    except FileNotFoundError:
        return True
    except OSError as error:
        _log.error("%s cannot be read: %s; what is remembered ends with this boot", path, error.strerror)
        return False
    except (ValueError, RecursionError, UsageError) as error:
        _log.error("%s makes no sense, and is set aside: %s", path, error)
        with suppress(OSError):
            path.replace(path.with_suffix(".damaged"))
        return True

    async def write(t: Transaction) -> None:
        if not await t.exists(PERSISTENT):
            for node, value in nodes.items():
                await t.write(node, value)

    await store.transact(write)
    return True


async def keep(store: Store, path: Path) -> None:
    """Write the file anew whenever what may be wanted after a boot changes, until cancelled."""
    changed, written = asyncio.Event(), None
    listener = await store.listen(PERSISTENT, changed.set)
    try:
        while True:
            await changed.wait()
            await asyncio.sleep(_PAUSE)
            changed.clear()
            data = await _encode(store)
            if data == written:
                continue
            try:
                # Not on the loop: a disk may take its time, and guests would wait for it. The thread does not
                # stay: a process that has several is gone before its sockets are, when it is killed.
                with ThreadPoolExecutor(1) as thread:
                    loop = asyncio.get_running_loop()
                    await loop.run_in_executor(thread, write_atomic, path, data, 0o600)
            except OSError as error:
                _log.error(
                    "cannot write %s: %s; what is remembered ends with this boot", path, error.strerror
                )
            else:
                written = data
    finally:
        listener.close()


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
