"""Running a program's main coroutine."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from types import FrameType
from typing import Any, Final, TypeVar

__all__ = ["run"]

T = TypeVar("T")

_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end; SIGINT, SIGTERM and SIGHUP cancel it once, so that it can clean up undisturbed.

    A signal that comes after its end is ignored: the program is about to end, and what `main` did stands.
    Raises KeyboardInterrupt if it was cancelled by SIGINT, SystemExit (128 and the signal) by another.
    """
    received: list[int] = []
    running: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[T]]] = []

    def interrupt(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        if len(received) == 1:
            for loop, task in running:
                loop.call_soon_threadsafe(task.cancel)

    async def guard() -> T:
        task = asyncio.current_task()
        assert task is not None
        running.append((asyncio.get_running_loop(), task))
        if received:
            task.cancel()
        try:
            return await main
        finally:
            running.clear()

    # Not the loop's own handlers: those go with the loop, and a late signal would undo nothing, but show.
    for number in _ENDING:
        signal.signal(number, interrupt)
    try:
        return asyncio.run(guard())
    except asyncio.CancelledError:
        if not received:
            raise
        if received[0] == signal.SIGINT:
            raise KeyboardInterrupt from None
        raise SystemExit(128 + received[0]) from None
