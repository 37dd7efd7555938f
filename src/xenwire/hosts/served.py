"""Seeing to it that somebody serves our channels."""

from __future__ import annotations

from typing import Final

from xenwire.errors import UsageError
from xenwire.runtime.daemon import Daemon, xenwire_command
from xenwire.runtime.lock import FileLock
from xenwire.runtime.places import log_dir, run_dir
from xenwire.runtime.process import ProcessRef
from xenwire.types import StorePath
from xenwire.xenstore import Store

__all__ = ["SERVER", "ensure_served", "server"]

SERVER: Final = StorePath("/tool/xenwire/serve")
"""The process that serves the channels of this store's domains, as `pid:start`; by that process."""

_TIMEOUT: Final = 60.0  # seconds that the daemon has to start; under emulation it takes some


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

    Raises XenwireError with its last words if it cannot start.
    """
    if await server(store) is not None:
        return
    async with FileLock(run_dir() / "serve-start.lock").held(_TIMEOUT):
        if await server(store) is None:
            await Daemon.start_ready(
                "the channels' backend",
                xenwire_command("serve", "--host", uri),
                log_dir() / "serve.log",
                _TIMEOUT,
            )
