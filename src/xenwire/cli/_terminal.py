"""The user's terminal joined to a guest's: raw mode, leaving, and what a guest may not send."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import termios
import tty
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from xenwire.runtime.streams import open_stream

__all__ = ["EscapeFilter", "join_terminal"]

_CHUNK: Final = 4096

_HARMLESS: Final = re.compile(rb"\x1b(?:[78=>cDEHMNO]|[()*+][0-9A-Za-z]|#[3-8]|\[[0-9;:?]*[@-Zabd-hlmrsu`])")
"""Sequences that draw. Not among them: what makes a terminal answer (the guest would type at the host's
shell), sets its title or clipboard, or moves its window."""

_STRING: Final = re.compile(rb"\x1b[\]P^_X][^\x1b\x07]*(?:\x07|\x1b\\)")
"""A control string (OSC, DCS, PM, APC, SOS) with its end: dropped whole."""

_CONTROL: Final = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]?")
"""Any other control sequence: dropped whole."""

_UNFINISHED: Final = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|[()*+#]|[\]P^_X][^\x07]*)?", re.DOTALL)

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
def _raw(fd: int) -> Iterator[None]:
    """Have the terminal give each key as it is; nothing to do where it is none."""
    if not os.isatty(fd):
        yield
        return
    before = termios.tcgetattr(fd)
    tty.setraw(fd, termios.TCSADRAIN)  # not TCSAFLUSH: what was typed ahead counts
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


async def join_terminal(
    path: Path,
    *,
    escape: bytes = b"\x1d",
    read_only: bool = False,
    raw: bool = False,
    start: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Join the user's terminal and the socket or terminal at `path` until the user types `escape`.

    Input that is no terminal may end; output is shown until the other end closes all the same. `raw`: the
    guest's output is not filtered. `start` is called once joined. Raises as `open_stream`.
    """
    stdin = sys.stdin.fileno()
    async with open_stream(path) as (reader, writer):
        with _raw(stdin):
            if os.isatty(stdin):
                leave = f"^{chr(escape[0] + 64)}"
                print(f"Connected to {path}. Leave with {leave}.", end="\r\n", file=sys.stderr)  # noqa: T201
            output = asyncio.create_task(_show(reader, None if raw else EscapeFilter()))
            keys = asyncio.create_task(_type(stdin, None if read_only else writer, escape))
            try:
                if start is not None:
                    await start()
                await asyncio.wait({output, keys}, return_when=asyncio.FIRST_COMPLETED)
                if keys.done() and not keys.result():
                    await output
            finally:
                output.cancel()
                keys.cancel()
                await asyncio.gather(output, keys, return_exceptions=True)


async def _show(reader: asyncio.StreamReader, escapes: EscapeFilter | None) -> None:
    while data := await reader.read(_CHUNK):
        sys.stdout.buffer.write(escapes.feed(data) if escapes else data)
        sys.stdout.buffer.flush()


async def _type(fd: int, writer: asyncio.StreamWriter | None, escape: bytes) -> bool:
    """Pass keys on until `escape` (then True) or the end of input."""
    while True:
        await _readable(fd)
        data = os.read(fd, _CHUNK)
        keys, left, _ = data.partition(escape)
        if writer is not None and keys:
            writer.write(keys)
            await writer.drain()
        if left or not data:
            return bool(left)


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
