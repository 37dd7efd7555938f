"""Running a program's main coroutine."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final, TypeVar

__all__ = ["commit", "run"]

T = TypeVar("T")

_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end; SIGINT, SIGTERM and SIGHUP cancel it once, so that it can clean up undisturbed.

    A signal that was ignored before (nohup) stays ignored. At the end the handlers are what they were: what
    the caller does with the result, such as printing it, can be interrupted as ever. A `main` whose work has
    to stand prints the result itself, after `commit`.

    Raises KeyboardInterrupt if it was cancelled by SIGINT, SystemExit (128 and the signal) by another.
    """
    received: list[int] = []
    uncancelled = [True]
    running: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[T]]] = []

    def interrupt(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        try:
            uncancelled.pop()  # at once: the next signal may come between any two lines here
        except IndexError:
            return
        for loop, task in running:
            loop.call_soon_threadsafe(task.cancel)

    async def guard() -> T:
        task = asyncio.current_task()
        assert task is not None
        running.append((asyncio.get_running_loop(), task))
        with _woken_by_signals(asyncio.get_running_loop()):
            if received:
                task.cancel()
            try:
                return await main
            finally:
                running.clear()

    # Not the loop's own handlers: those go before the loop has been closed.
    before = {
        number: signal.signal(number, interrupt)
        for number in _ENDING
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        return asyncio.run(guard())
    except asyncio.CancelledError:
        if not received:
            raise
        if received[0] == signal.SIGINT:
            raise KeyboardInterrupt from None
        raise SystemExit(128 + received[0]) from None
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is interrupt:  # `commit` may have changed it
                signal.signal(number, handler)


async def commit() -> None:
    """Have what was done stand: from here to the end of the process SIGINT, SIGTERM and SIGHUP are ignored.

    Raises CancelledError if one of them came before.
    """
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)
    await asyncio.sleep(0)  # a cancellation that is under way arrives here, not later


@contextmanager
def _woken_by_signals(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Have a signal end the loop's wait.

    Without this Python only makes a note of a signal that comes right before the system call, or that another
    thread takes: the handler runs when the wait is over.
    """
    reader, writer = socket.socketpair()
    with reader, writer:
        reader.setblocking(False)
        writer.setblocking(False)
        loop.add_reader(reader, reader.recv, 4096)
        before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            loop.remove_reader(reader)
