"""Seeing to it that somebody serves our channels."""

from __future__ import annotations

from typing import Final

from xenwire.errors import TimedOut
from xenwire.runtime.daemon import Daemon, xenwire_command
from xenwire.runtime.lock import FileLock
from xenwire.runtime.places import log_dir, run_dir

__all__ = ["ensure_served"]

_TIMEOUT: Final = 20.0  # seconds that the daemon has to start


async def ensure_served() -> None:
    """Start `xenwire serve` unless it runs, once however many ask.

    Raises XenwireError with its last words if it cannot start.
    """
    async with FileLock(run_dir() / "serve-start.lock").held(_TIMEOUT):
        try:
            async with FileLock(run_dir() / "serve.lock").held(0):
                pass
        except TimedOut:
            return
        await Daemon.start_ready(
            "the channels' backend", xenwire_command("serve"), log_dir() / "serve.log", _TIMEOUT
        )
