"""Running a program's main coroutine."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["run"]

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end; SIGINT and SIGTERM cancel it once, so that it can clean up undisturbed.

    Raises KeyboardInterrupt if it was cancelled by SIGINT, SystemExit(143) if by SIGTERM.
    """
    return asyncio.run(_guard(main))


async def _guard(main: Coroutine[Any, Any, T]) -> T:
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    received: list[signal.Signals] = []

    def interrupt(number: signal.Signals) -> None:
        if not received:
            task.cancel()
        received.append(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt, number)
    try:
        return await main
    except asyncio.CancelledError:
        if received and received[0] is signal.SIGTERM:
            raise SystemExit(128 + signal.SIGTERM) from None
        if received:
            raise KeyboardInterrupt from None
        raise
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
