"""A session with the agent in a lab's dom0: commands and files.

    async with LabSession.open(port, timeout=30) as session:
        status = await session.run(["xl", "list"], on_stdout=show, timeout=10)
        await session.put(Path("guest.cfg"), "/root")

One command at a time: the lab has several ports, for as many sessions. Dom0 is not trusted: what it sends is
checked, and never takes more memory than a frame or two.
"""

from __future__ import annotations

import asyncio
import errno
import posixpath
import secrets
import signal
import time
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from xenwire.errors import (
    Conflict,
    Denied,
    NotFound,
    ProtocolError,
    TimedOut,
    Unreachable,
    UsageError,
    XenwireError,
)
from xenwire.lab.frames import (
    MARKER,
    MAX_PAYLOAD,
    NONCE_SIZE,
    WINDOW,
    Command,
    Decoder,
    Frame,
    Item,
    Kind,
    Refusal,
    Sync,
    Tty,
    encode,
    encode_data,
    encode_numbers,
    numbers,
)
from xenwire.lab.tar import Unpacker, pack
from xenwire.runtime.process import ExitStatus
from xenwire.runtime.streams import open_stream

__all__ = ["KILL_AFTER", "LabSession", "Sink", "Source"]

KILL_AFTER: Final = 5.0
"""Seconds that a command gets to end after SIGTERM."""

T = TypeVar("T")

Sink = Callable[[bytes], Awaitable[None]]
"""Takes output. While it does, no more is read, and a command that writes more has to wait."""

Source = AsyncIterable[bytes] | bytes

_CHUNK: Final = 1 << 16
_PATIENCE: Final = 5.0
"""Seconds that the agent gets beyond what the command gets."""
_CLOCK_TIMEOUT: Final = 10.0
_MAX_WORDS: Final = 2000
"""Bytes of a failed tar's last words that are told."""

_UNPACK: Final = ("tar", "--extract", "--preserve-permissions", "--file=-", "--directory")
_MISSING: Final = 3
"""The status of `_PACK` if there is no such file; tar has none above 2."""
_PACK: Final = f"""
[ -e "$1" ] || exit {_MISSING}
if [ -d "$1" ]; then
    exec tar --create --format=gnu --file=- --directory="$1" .
fi
exec tar --create --format=gnu --dereference --file=- --directory="$2" -- "$3"
"""
_CHANGED: Final = 1
"""GNU tar's status where a file has changed while it was read."""
_READABLE: Final = "see that it is there and that you may read it"
_WRITABLE: Final = "copy it to another folder: one that is there, that you may write, and that has room"


class LabSession:
    """One session. Every method raises Unreachable if the lab goes away, ProtocolError if it talks nonsense.

    After a cancelled or timed out `run`, or one whose `stdin` or sink failed, the session is closed.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: Path) -> None:
        self._reader = reader
        self._writer = writer
        self._path = path
        self._decoder = Decoder()
        self._received: deque[Item] = deque()
        self._room = 0
        self._has_room = asyncio.Event()
        self._busy = False
        self._running = False

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path, *, timeout: float) -> AsyncIterator[Self]:
        """Open a session at the Unix socket of a port, for the length of a block.

        What an earlier client of the port has left is thrown away, and its command ended. The agent need not
        run yet. A command that still runs at the end of the block is ended by the agent.

        Raises NotFound, Denied, Unreachable (as `open_stream`), TimedOut if no agent answers.
        """
        async with open_stream(path) as (reader, writer):
            session = cls(reader, writer, path)
            try:
                async with asyncio.timeout(timeout) as deadline:
                    await session._synchronise()
            except TimeoutError as error:
                if not deadline.expired():
                    raise
                raise TimedOut(
                    "the lab does not answer",
                    reason=f"the agent in its dom0 said nothing at {path} for {timeout:g} s",
                    hint="has it booted? does another command use this port?",
                ) from error
            yield session

    async def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        stdin: Source | None = None,
        on_stdout: Sink | None = None,
        on_stderr: Sink | None = None,
        tty: Tty | None = None,
        timeout: float | None = None,
        kill_after: float = KILL_AFTER,
    ) -> ExitStatus:
        """Run a command in dom0, as root, in a process group of its own, and give how it ended.

        `env` adds to the agent's environment. `stdin`: None is empty. With a `tty` all output comes to
        `on_stdout`, and the end of `stdin` is typed as ^D. Output without a sink is thrown away. All output
        that the command has written is there before this returns; daemons that it leaves behind are not
        waited for, and what they write later is lost.

        A command that is cancelled, or not done after `timeout` seconds, is ended: SIGTERM and SIGHUP to its
        group, SIGKILL `kill_after` seconds later. That is waited for; cancelled again, it is left to the
        agent.

        Raises NotFound (no such program or `cwd`), Denied, UsageError (nothing that can be run), TimedOut,
        Conflict (the session runs a command), what `stdin` and the sinks raise.
        """
        command = Command(tuple(argv), dict(env or {}), cwd, tty, kill_after)
        frame = _encode(command)
        with self._exclusively():
            try:
                async with asyncio.timeout(timeout) as deadline:
                    await self._send(frame)
                    ended = await self._converse(stdin, {Kind.STDOUT: on_stdout, Kind.STDERR: on_stderr})
            except TimeoutError as error:
                over = await self._end(kill_after)
                if not deadline.expired():
                    raise
                raise TimedOut(
                    f"{argv[0]} has not ended in time",
                    reason=f"it ran for {timeout:g} s",
                    hint="it has been ended" if over else "it may still run in the lab",
                ) from error
            except (ProtocolError, Unreachable):
                self._writer.transport.abort()
                raise
            except BaseException:
                await self._end(kill_after)
                raise
        if isinstance(ended, Refusal):
            raise _refused(f"cannot run {argv[0]} in the lab", ended)
        return ended

    def signal(self, number: int) -> None:
        """Send a signal to the running command's process group. Without a command nothing happens."""
        if self._running:
            self._writer.write(encode_numbers(Kind.SIGNAL, number))

    def resize(self, rows: int, cols: int) -> None:
        """Tell the running command's terminal its size. Without a command nothing happens."""
        if self._running:
            self._writer.write(encode_numbers(Kind.RESIZE, rows, cols))

    async def set_clock(self, ns: int | None = None) -> None:
        """Set dom0's clock, to this host's unless told (nanoseconds since 1970, UTC).

        Raises TimedOut, UsageError (not a time).
        """
        with self._exclusively():
            try:
                async with asyncio.timeout(_CLOCK_TIMEOUT):
                    await self._send(encode_numbers(Kind.SET_CLOCK, time.time_ns() if ns is None else ns))
                    frame = await self._next()
            except BaseException as error:
                self._writer.transport.abort()
                if isinstance(error, TimeoutError):
                    raise TimedOut("the lab does not set its clock") from error
                raise
        with _checked():
            if frame.kind is Kind.ERROR:
                raise _refused("cannot set the lab's clock", Refusal.parse(frame.payload))
            if frame.kind is not Kind.CLOCK_SET:
                raise ValueError(f"{frame.kind.name} where an answer was expected")

    async def put(self, local: Path, remote: str) -> list[str]:
        """Copy a file or a folder into dom0, as `cp -r` does: into `remote` if it is a folder, else as it.

        The folder that it goes into has to be there. Files are replaced, folders joined; modes and times are
        kept, symbolic links stay links, all belongs to root. Gives what was left out: devices, pipes,
        sockets.

        Raises NotFound, Denied, UsageError (a path such as /), XenwireError.
        """
        failure = f"cannot copy {local} to the lab"
        left_out: list[str] = []
        words = _Words()
        with _files(failure, local, _READABLE):
            if not local.exists():
                raise NotFound(failure, reason="it does not exist", hint=_READABLE)
            folder, name = posixpath.split(remote)
            if not name or await self.run(["test", "-d", _no_option(remote)]) == 0:
                folder, name = remote, local.resolve().name if local.name in ("", "..") else local.name
            _check_name(name, failure)
            status = await self.run(
                [*_UNPACK, _no_option(folder)],
                stdin=_Chunks(pack(local, name, left_out)),
                on_stderr=words.take,
            )
        if status != 0:
            raise XenwireError(
                failure,
                reason=words.text or f"tar {status}",
                hint="the folder that it goes into has to be there",
            )
        return left_out

    async def get(self, remote: str, local: Path) -> list[str]:
        """Copy a file or a folder out of dom0: into `local` if that is a folder, else as `local`.

        The folder that it goes into has to be there. Files are replaced, folders joined, modes and times
        kept, all belongs to the user: see `Unpacker`, also for what is left out, which is given.

        Raises NotFound (no such file, or nothing to put it in), Denied, UsageError (a path such as /),
        ProtocolError, XenwireError.
        """
        failure = f"cannot copy {remote} from the lab"
        name = posixpath.basename(posixpath.normpath(remote))
        _check_name(name, failure)
        folder, entry = posixpath.split(remote.rstrip("/"))
        words = _Words()
        with (
            _files(failure, local, _WRITABLE),
            Unpacker(local / name if local.is_dir() else local) as unpacker,
        ):

            async def unpack(data: bytes) -> None:
                await _in_thread(unpacker.feed, data)

            status = await self.run(
                ["sh", "-c", _PACK, "sh", _no_option(remote), _no_option(folder), entry],
                on_stdout=unpack,
                on_stderr=words.take,
            )
        if status == _MISSING:
            raise NotFound(failure, reason="it does not exist", hint="see what does: xenwire lab run -- ls")
        if status not in (0, _CHANGED) or not unpacker.whole:
            why = words.text or f"tar {status}, and what came is not whole"
            raise XenwireError(failure, reason=why)
        return unpacker.left_out

    @contextmanager
    def _exclusively(self) -> Iterator[None]:
        if self._busy:
            raise Conflict("this session is busy", reason="it runs one command at a time")
        self._busy = True
        try:
            yield
        finally:
            self._busy = self._running = False

    async def _synchronise(self) -> None:
        nonce = secrets.token_bytes(NONCE_SIZE)
        await self._send(MARKER + nonce)
        while await self._item() != Sync(nonce):
            pass

    async def _converse(
        self, stdin: Source | None, sinks: Mapping[Kind, Sink | None]
    ) -> ExitStatus | Refusal:
        """Pass input and output until the command's end; or give why it could not be started."""
        self._room = WINDOW
        self._running = True
        following = asyncio.ensure_future(self._follow(sinks))
        feeding = asyncio.ensure_future(self._feed(stdin))
        try:
            await asyncio.wait({following, feeding}, return_when=asyncio.FIRST_COMPLETED)
            if not following.done():
                await feeding
            return await following
        finally:
            self._running = False
            following.cancel()
            feeding.cancel()
            await asyncio.gather(following, feeding, return_exceptions=True)

    async def _follow(self, sinks: Mapping[Kind, Sink | None]) -> ExitStatus | Refusal:
        while True:
            kind, payload = await self._next()
            if kind in sinks:
                sink = sinks[kind]
                if sink is not None:
                    await sink(payload)
                continue
            with _checked():
                match kind:
                    case Kind.STDIN_ROOM:
                        self._grant(*numbers(payload, 1))
                    case Kind.EXIT:
                        return _exit_status(*numbers(payload, 1))
                    case Kind.ERROR:
                        return Refusal.parse(payload)
                    case _:
                        raise ValueError(f"{kind.name} while a command runs")

    async def _feed(self, stdin: Source | None) -> None:
        """Pass the input on, as far as there is room for it, then its end."""
        if isinstance(stdin, bytes):
            await self._feed_data(stdin)
        elif stdin is not None:
            async for data in stdin:
                await self._feed_data(data)
        await self._send(encode(Kind.STDIN_EOF))

    async def _feed_data(self, data: bytes) -> None:
        start = 0
        while start < len(data):
            while not self._room:
                self._has_room.clear()
                await self._has_room.wait()
            piece = data[start : start + min(self._room, MAX_PAYLOAD)]
            start += len(piece)
            self._room -= len(piece)
            await self._send(encode_data(Kind.STDIN, piece))

    def _grant(self, count: int) -> None:
        if not 0 <= count <= WINDOW - self._room:
            raise ValueError(f"room for {count} bytes more")
        self._room += count
        self._has_room.set()

    async def _end(self, grace: float) -> bool:
        """Have the running command ended, close the session, and tell whether its end was heard of."""
        try:
            async with asyncio.timeout(grace + _PATIENCE):
                await self._send(encode(Kind.END))
                while (await self._next()).kind not in (Kind.EXIT, Kind.ERROR):
                    pass
            return True
        except (TimeoutError, XenwireError):
            return False
        finally:
            self._writer.transport.abort()

    async def _send(self, data: bytes) -> None:
        if self._writer.transport.is_closing():
            raise self._gone("the session is closed")
        self._writer.write(data)
        try:
            await self._writer.drain()
        except OSError as error:
            raise self._gone(error.strerror) from error

    async def _next(self) -> Frame:
        item = await self._item()
        if not isinstance(item, Frame):
            raise ProtocolError("the lab talks nonsense", reason=str(item))
        return item

    async def _item(self) -> Item:
        while not self._received:
            try:
                data = await self._reader.read(_CHUNK)
            except OSError as error:
                raise self._gone(error.strerror) from error
            if not data:
                raise self._gone("it closed the session")
            self._received.extend(self._decoder.feed(data))
        return self._received.popleft()

    def _gone(self, reason: str | None) -> Unreachable:
        return Unreachable(
            "the lab is gone", reason=f"{self._path}: {reason}", hint="does its QEMU still run?"
        )


class _Words:
    """The last words of a program."""

    def __init__(self) -> None:
        self._data = b""

    async def take(self, data: bytes) -> None:
        self._data = (self._data + data)[-_MAX_WORDS:]

    @property
    def text(self) -> str:
        text = self._data.decode(errors="replace").strip()
        return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


@contextmanager
def _checked() -> Iterator[None]:
    """Tell of a payload that makes no sense."""
    try:
        yield
    except ValueError as error:
        raise ProtocolError("the lab talks nonsense", reason=str(error)) from error


def _encode(command: Command) -> bytes:
    try:
        return command.encode()
    except ValueError as error:
        raise UsageError("this cannot be run in the lab", reason=str(error)) from error


def _exit_status(number: int) -> ExitStatus:
    if not -signal.NSIG < number <= 255:
        raise ValueError(f"exit status {number}")
    return ExitStatus(number)


def _refused(message: str, refusal: Refusal) -> XenwireError:
    group = {
        errno.ENOENT: NotFound,
        errno.EACCES: Denied,
        errno.EPERM: Denied,
        errno.EINVAL: UsageError,
        errno.EPROTO: ProtocolError,
    }.get(refusal.errno, XenwireError)
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in refusal.text)
    return group(message, reason=text)


def _no_option(path: str) -> str:
    """Give a path that no program takes for an option; the empty one is the folder at hand."""
    return path if path.startswith("/") else f"./{path}"


def _check_name(name: str, failure: str) -> None:
    """Refuse a name under which a copy would not be in the folder that it is put in."""
    if name in ("", ".", ".."):
        raise UsageError(
            failure, reason=f"{name or '/'} is no name for a copy", hint="give a path that ends with a name"
        )


@contextmanager
def _files(failure: str, path: Path, hint: str) -> Iterator[None]:
    """Tell of a file here, `path` or one in it, that cannot be read or written."""
    try:
        yield
    except OSError as error:
        group = {errno.ENOENT: NotFound, errno.EACCES: Denied, errno.EPERM: Denied}
        raise group.get(error.errno or 0, XenwireError)(
            failure, reason=f"{error.filename or path}: {error.strerror}", hint=hint
        ) from error


class _Chunks:
    """A blocking iterator, made asynchronous."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        chunk = await _in_thread(lambda: next(self._chunks, None))
        if chunk is None:
            raise StopAsyncIteration
        return chunk


async def _in_thread(function: Callable[..., T], *arguments: Any) -> T:
    """Call a blocking function that is not long; when cancelled, even twice, wait until it has returned."""
    call = asyncio.ensure_future(asyncio.to_thread(function, *arguments))
    try:
        return await asyncio.shield(call)
    finally:
        while not call.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait({call})
