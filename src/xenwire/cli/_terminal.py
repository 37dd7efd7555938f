"""The user's terminal joined to a guest's: raw mode, leaving, and what a guest may not send."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import termios
import threading
import tty
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TextIO

from xenwire.cli._output import write_all
from xenwire.errors import XenwireError
from xenwire.runtime.streams import open_stream

__all__ = ["EscapeFilter", "join_terminal", "raw_terminal", "typed", "write_out"]

_CHUNK: Final = 4096
_INPUT: Final = 1 << 16  # bytes read at once; a terminal gives a line or a key

_DRAWING_MODE: Final = rb"(?:1|[5-7]|12|25|47|66|69|104[7-9]|2026)"
"""Private modes that a guest may set: cursor, screen, keypad, margins. Not those in which a terminal sends by
itself (mouse 9, 1000 to 1016, focus 1004, paste 2004): it would go on at the host's shell."""

_HARMLESS: Final = re.compile(
    rb"\x1b(?:[78=>cDEHM]|[()*+][0-9A-Za-z]|#[3-8]"
    rb"|\[[0-9;:]*[@-MPSTXZ`abd-gmrsu]|\[4[hl]|\[\?[0-9;]*[JK]"
    rb"|\[\?" + _DRAWING_MODE + rb"(?:;" + _DRAWING_MODE + rb")*[hl])"
)
"""Sequences that draw. Not among them: what makes a terminal answer (the guest would type at the host's
shell), locks its keyboard, sets its title or clipboard, prints, or moves its window."""

_STRING: Final = re.compile(rb"\x1b[\]P^_X][^\x1b\x07]*(?:\x07|\x1b\\|(?=\x1b[^\\]))")
"""A control string (OSC, DCS, PM, APC, SOS) to its end or the escape that breaks it off: dropped whole."""

_CONTROL: Final = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]?|[ -/]+[0-~])")
"""Any other control sequence: dropped whole."""

_UNFINISHED: Final = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|[ -/]+|[\]P^_X][^\x07\x1b]*\x1b?)?")

_TALKATIVE: Final = re.compile(rb"\x05|\xc2[\x80-\x9f]")
"""ENQ, and the one-character forms of escape sequences (C1) as UTF-8 has them."""

_LONGEST: Final = 4096  # bytes of an unfinished sequence that are kept back


class EscapeFilter:
    """Lets a guest's output through without escape sequences that are dangerous to the user's terminal."""

    def __init__(self) -> None:
        self._kept = b""

    def feed(self, data: bytes) -> bytes:
        """Give what may be shown of `data`; the beginning of an unfinished sequence is kept for later."""
        data, self._kept = self._kept + data, b""
        if data.endswith(b"\xc2"):
            data, self._kept = data[:-1], b"\xc2"
        shown = bytearray()
        while data:
            before, escape, rest = data.partition(b"\x1b")
            shown += _TALKATIVE.sub(b"", before)
            data = escape + rest
            if match := _HARMLESS.match(data):
                shown += match[0]
                data = data[match.end() :]
            elif match := _STRING.match(data):
                data = data[match.end() :]
            elif data and _UNFINISHED.fullmatch(data) and len(data) < _LONGEST:
                self._kept = data + self._kept
                break
            elif match := _CONTROL.match(data):
                data = data[match.end() :]
            else:
                data = data[2:]
        return bytes(shown)


@contextmanager
def raw_terminal(fd: int) -> Iterator[None]:
    """Have the terminal give each key as it is; nothing to do where it is none."""
    if not os.isatty(fd):
        yield
        return
    before = termios.tcgetattr(fd)
    # Now: a terminal that has been stopped drains no output, and what was typed ahead counts.
    tty.setraw(fd, termios.TCSANOW)
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSANOW, before)


async def join_terminal(
    path: Path,
    *,
    escape: bytes = b"\x1d",
    read_only: bool = False,
    raw: bool = False,
    start: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Join the user's terminal and the socket or terminal at `path` until the user types `escape`.

    Input that is no terminal may end; output is shown until the other end closes all the same. While output
    is not taken, none is read from the other end. `raw`: the guest's output is not filtered. `start` is
    called once joined. Raises as `open_stream`, BrokenPipeError, XenwireError (stdout cannot be written).
    """
    stdin = sys.stdin.fileno()
    async with open_stream(path) as (reader, writer):
        with raw_terminal(stdin):
            if os.isatty(stdin):
                leave = f"^{chr(escape[0] + 64)}"
                with suppress(BrokenPipeError, XenwireError):
                    await write_out(sys.stderr, f"Connected to {path}. Leave with {leave}.\r\n".encode())
            output = asyncio.create_task(_show(reader, None if raw else EscapeFilter()))
            keys = asyncio.create_task(_type(stdin, None if read_only else writer, escape))
            try:
                if start is not None:
                    await start()
                await asyncio.wait({output, keys}, return_when=asyncio.FIRST_COMPLETED)
                if output.done() or not keys.result():
                    await output
            finally:
                output.cancel()
                keys.cancel()
                await asyncio.gather(output, keys, return_exceptions=True)


async def _show(reader: asyncio.StreamReader, escapes: EscapeFilter | None) -> None:
    while data := await _read(reader):
        await write_out(sys.stdout, escapes.feed(data) if escapes else data)


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(_CHUNK)
    except OSError:  # a terminal whose other end is gone, a socket closed before it had read all
        return b""


async def write_out(stream: TextIO, data: bytes) -> None:
    """Write in a thread: a terminal may be stopped, and its descriptor stays blocking, as the user's shell
    shares it. No poll tells how much a terminal takes. A thread that still waits ends with the process.
    """
    loop = asyncio.get_running_loop()
    written: asyncio.Future[None] = loop.create_future()

    def settle(error: Exception | None) -> None:
        if written.cancelled():
            return
        if error is None:
            written.set_result(None)
        else:
            written.set_exception(error)

    def work() -> None:
        error: Exception | None = None
        try:
            write_all(stream.fileno(), data)
        except (BrokenPipeError, XenwireError) as failure:
            error = failure
        with suppress(RuntimeError):  # the loop has been closed: nobody waits
            loop.call_soon_threadsafe(settle, error)

    threading.Thread(target=work, daemon=True).start()
    await written


async def _type(fd: int, writer: asyncio.StreamWriter | None, escape: bytes) -> bool:
    """Pass keys on until `escape` (then True), the end of input, or of the other end."""
    async for data in typed(fd):
        keys, left, _ = data.partition(escape)
        if writer is not None and keys:
            writer.write(keys)
            try:
                await writer.drain()
            except OSError:
                return bool(left)
        if left:
            return True
    return False


async def typed(fd: int) -> AsyncIterator[bytes]:
    """Give what comes from a descriptor, to its end."""
    while True:
        await _readable(fd)
        data = os.read(fd, _INPUT)
        if not data:
            return
        yield data


async def _readable(fd: int) -> None:
    """Wait for input. The descriptor stays blocking: the user's shell shares it."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    try:
        loop.add_reader(fd, ready.set)
    except PermissionError:  # a regular file is always ready, and cannot be polled
        return
    try:
        await ready.wait()
    finally:
        loop.remove_reader(fd)
