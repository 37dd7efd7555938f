"""A client of a guest agent (qemu-ga) over any byte stream.

    async with GuestAgent.open(reader, writer) as agent:
        await agent.wait_ready(timeout=30)
        result = await agent.exec(["uname", "-r"], timeout=10)

The stream is a channel whose other end may not be listening yet, may hold old bytes, and is at the guest's
mercy. So each wait has a deadline (in seconds), each reply is checked, and after a timeout, a cancellation or
a malformed reply the client gets back into step before its next command: a late reply is never taken for
another command's.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Self

from xenwire.agent import results
from xenwire.agent.protocol import (
    MAX_OUTPUT,
    MAX_REPLY,
    AgentError,
    Decoder,
    encode,
    encode_sync,
    is_text,
    parse,
)
from xenwire.agent.results import ExecResult, GuestInfo
from xenwire.errors import ProtocolError, TimedOut, Unreachable, UsageError

__all__ = ["DEFAULT_TIMEOUT", "GuestAgent"]

DEFAULT_TIMEOUT: Final = 10.0
"""Seconds that a command may take."""

_CHUNK: Final = 1 << 16
_MAX_SYNC_REPLY: Final = 256
_FIRST_RETRY: Final = 0.25
_LAST_RETRY: Final = 4.0
"""Seconds that a search for an agent waits before it asks again: at first, and at most."""
_FIRST_POLL: Final = 0.01
_LAST_POLL: Final = 0.5
"""Seconds between two questions whether a command has ended: at first, and at most."""


class GuestAgent:
    """The client. Commands of several tasks take turns.

    Every method raises TimedOut (the deadline passed), Unreachable (the stream ended), ProtocolError (the
    guest sent nonsense) and AgentError (the agent refuses); the client can be used on after each of them
    but Unreachable.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._decoder = Decoder()
        self._turn = asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def open(cls, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> AsyncIterator[Self]:
        """Use a stream for the length of a block, and close it at its end."""
        try:
            yield cls(reader, writer)
        finally:
            writer.transport.abort()

    async def sync(self, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Get into step with the agent, whatever was sent and received before."""
        async with self._within(timeout, "guest-sync-delimited"), self._turn:
            await self._sync()

    async def wait_ready(self, timeout: float) -> None:
        """Wait until an agent answers. It need not run yet, and the guest need not have opened the port."""
        async with self._within(timeout, "the guest agent to start"):
            retry = _FIRST_RETRY
            while True:
                with contextlib.suppress(TimedOut):
                    return await self.sync(retry)
                retry = min(2 * retry, _LAST_RETRY)

    async def ping(self, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Return if the agent answers."""
        await self._command("guest-ping", timeout=timeout)

    async def info(self, timeout: float = DEFAULT_TIMEOUT) -> GuestInfo:
        """Ask for the agent's version and commands, and what it can tell of its guest."""
        async with self._within(timeout, "guest-info"):
            version, commands = results.read_commands(await self._command("guest-info"))

            async def ask(command: str) -> Any:
                if command in commands:
                    with contextlib.suppress(AgentError):
                        return await self._command(command)
                return None

            return results.read_info(
                version,
                commands,
                system=await ask("guest-get-osinfo"),
                host=await ask("guest-get-host-name"),
                time=await ask("guest-get-time"),
            )

    async def exec(
        self,
        argv: Sequence[str],
        *,
        input: bytes | None = None,  # noqa: A002 - the name that subprocess.run gives it
        env: Mapping[str, str] | None = None,
        timeout: float,
        capture: bool = True,
    ) -> ExecResult:
        """Run a command in the guest, and wait for its end.

        The agent looks for `argv[0]` in its own PATH. `input` is its standard input, at most 16 MiB; `env` is
        its whole environment (None: the agent's own). With `capture` its output and its errors are collected,
        at most 16 MiB of each. After a timeout or a cancellation the command runs on in the guest.

        Raises UsageError if there is no command or too much input.
        """
        if not argv:
            raise UsageError("there is no command to run in the guest")
        variables = None if env is None else [f"{name}={value}" for name, value in env.items()]
        _check_words([*argv, *(variables or ())])
        if input is not None and len(input) > MAX_OUTPUT:
            raise UsageError(
                "too much input for a command in the guest",
                reason=f"{len(input)} bytes are more than {MAX_OUTPUT}",
            )
        arguments: dict[str, Any] = {
            "path": argv[0],
            "arg": list(argv[1:]),
            "capture-output": capture,
        }
        if variables is not None:
            arguments["env"] = variables
        if input is not None:
            arguments["input-data"] = base64.b64encode(input).decode("ascii")
        clock = asyncio.get_running_loop().time
        deadline = clock() + timeout
        pid = results.read_pid(await self._command("guest-exec", arguments, timeout=timeout))
        message, hint = f"{argv[0]} has not ended in time", f"it may still run in the guest, as process {pid}"
        async with self._within(deadline - clock(), "it to end", message, hint):
            pause = _FIRST_POLL
            while True:
                status = await self._command("guest-exec-status", {"pid": pid})
                result = results.read_exec_status(status)
                if result is not None:
                    return result
                await asyncio.sleep(pause)
                pause = min(1.5 * pause, _LAST_POLL)

    async def _command(
        self, command: str, arguments: Mapping[str, Any] | None = None, *, timeout: float | None = None
    ) -> Any:
        """Send a request and give what its reply returns, in step before and after.

        Without a `timeout` the caller has set a deadline.
        """
        async with self._within(timeout, command), self._turn:
            if self._decoder.hunting:
                await self._sync()
            with self._out_of_step_unless_answered():
                await self._send(encode(command, arguments))
                return parse(await self._line(MAX_REPLY), command)

    async def _sync(self) -> None:
        """Send a new id and throw away all that comes before it, replies to older ids too."""
        sync_id = secrets.randbits(48)
        self._decoder.hunt()
        with self._out_of_step_unless_answered():
            await self._send(encode_sync(sync_id))
            while True:
                with contextlib.suppress(ProtocolError, AgentError):
                    line = await self._line(_MAX_SYNC_REPLY)
                    if parse(line.rpartition(b"\xff")[2], "guest-sync-delimited") == sync_id:
                        return
                self._decoder.hunt()

    @contextlib.contextmanager
    def _out_of_step_unless_answered(self) -> Iterator[None]:
        try:
            yield
        except AgentError:
            raise
        except BaseException:
            self._decoder.hunt()
            raise

    async def _send(self, data: bytes) -> None:
        """Send a request, once the stream has taken the ones before."""
        try:
            await self._writer.drain()
        except OSError as error:
            raise _gone(error.strerror or str(error)) from error
        self._writer.write(data)

    async def _line(self, limit: int) -> bytes:
        while (line := self._decoder.next_line(limit)) is None:
            try:
                data = await self._reader.read(_CHUNK)
            except OSError as error:
                raise _gone(error.strerror or str(error)) from error
            if not data:
                raise _gone("the stream ended")
            self._decoder.feed(data)
        return line

    @staticmethod
    @asynccontextmanager
    async def _within(
        timeout: float | None,
        what: str,
        message: str = "the guest agent does not answer",
        hint: str = "is qemu-guest-agent running in the guest, on this channel?",
    ) -> AsyncIterator[None]:
        """Set a deadline, and tell what was waited for when it passes."""
        try:
            async with asyncio.timeout(timeout) as deadline:
                yield
        except TimeoutError as error:
            if not deadline.expired():
                raise
            raise TimedOut(message, reason=f"waited {timeout:.3g} s for {what}", hint=hint) from error


def _check_words(words: Sequence[str]) -> None:
    """Refuse what JSON cannot carry."""
    for word in words:
        if "\0" in word or not is_text(word):
            raise UsageError(f"cannot pass {word!r} to the guest", reason="it is not UTF-8 text without NUL")


def _gone(reason: str) -> Unreachable:
    return Unreachable("the guest agent's channel is gone", reason=reason, hint="does the domain still run?")
