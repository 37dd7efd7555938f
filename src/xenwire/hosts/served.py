"""Seeing to it that somebody serves our channels."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

from xenwire.channels.statistics import ChannelStatistics
from xenwire.errors import ProtocolError, TimedOut, UsageError
from xenwire.runtime.daemon import ensure_running, xenwire_command
from xenwire.runtime.lock import FileLock
from xenwire.runtime.places import log_dir, run_dir
from xenwire.runtime.process import ProcessRef
from xenwire.types import DevId, DomId, StorePath
from xenwire.xenstore import Store

__all__ = ["SERVER", "control_socket", "ensure_served", "server", "serving_lock", "statistics"]

_log = logging.getLogger(__name__)

SERVER: Final = StorePath("/tool/xenwire/serve")
"""The process that serves the channels of this store's domains, as `pid:start`; by that process."""

_TIMEOUT: Final = 60.0  # seconds that the daemon has to start; under emulation it takes some
_RETRY: Final = 0.05  # seconds
_STATISTICS_TIMEOUT: Final = 2.0  # seconds
_MAX_STATISTICS: Final = 64 << 20  # bytes; a channel has some hundreds


async def server(store: Store) -> ProcessRef | None:
    """Give the process that serves our channels, if one does."""
    text = await store.get(SERVER)
    try:
        process = ProcessRef.parse(text.decode("ascii", errors="replace")) if text else None
    except UsageError:
        return None
    return process if process is not None and process.alive else None


async def ensure_served(store: Store, uri: str) -> None:
    """Start `xenwire serve` for the host `uri` unless it runs, once however many ask.

    Raises XenwireError with its last words if it cannot start, TimedOut if another process serves, and does
    not say so.
    """
    await ensure_running(
        "the channels' backend",
        xenwire_command("serve", "--host", uri),
        log_dir() / "serve.log",
        _TIMEOUT,
        lock=FileLock(run_dir() / "serve-start.lock"),
        running=partial(_serves, store, serving_lock(uri)),
    )


async def _serves(store: Store, lock: FileLock) -> bool:
    """Tell whether our channels are served; one who begins to, or ends, is waited for."""
    deadline = time.monotonic() + _TIMEOUT
    while await server(store) is None:
        if not lock.is_held:
            return False
        if time.monotonic() >= deadline:
            raise TimedOut(
                "a process serves the channels, and is not ready",
                reason=f"waited {_TIMEOUT:g} s for it to write {SERVER}",
                hint=f"see who does: fuser -v {lock.path}",
            )
        await asyncio.sleep(_RETRY)
    return True


def serving_lock(uri: str) -> FileLock:
    """Give the lock that who serves the channels of the host `uri` holds."""
    return FileLock(run_dir() / f"serve-{uri.rstrip(':')}.lock")


def control_socket(uri: str) -> Path:
    """Give the socket where who serves the channels of the host `uri` tells of them (HTTP)."""
    return run_dir() / f"control-{uri.rstrip(':')}.sock"


async def statistics(uri: str, domid: DomId) -> dict[DevId, ChannelStatistics] | None:
    """Ask who serves the channels of a domain on the host `uri` for their statistics.

    None if nobody serves them, or has not told within 2 s.
    """
    try:
        async with asyncio.timeout(_STATISTICS_TIMEOUT):
            told = await _get(control_socket(uri), "/channels")
        channels = [ChannelStatistics.from_dict(channel) for channel in told]
    except (OSError, TimeoutError):
        return None
    except (ProtocolError, TypeError, ValueError) as error:
        _log.warning("the statistics of the channels make no sense: %s", error)
        return None
    return {channel.devid: channel for channel in channels if channel.domid == domid}


async def _get(path: Path, page: str) -> Any:
    """Get JSON by HTTP. Raises OSError, ValueError, ProtocolError."""
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(f"GET {page} HTTP/1.0\r\n\r\n".encode())
        answer = bytearray()
        while len(answer) <= _MAX_STATISTICS and (block := await reader.read(1 << 16)):
            answer += block
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.0 200 "):
        raise ProtocolError(f"{path} does not answer", reason=repr(bytes(head[:80])))
    return json.loads(body)
