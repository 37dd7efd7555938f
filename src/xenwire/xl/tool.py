"""Running the installed xl."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from xenwire.errors import NotFound, ProtocolError, TimedOut
from xenwire.runtime.process import ExitStatus, end, spawn
from xenwire.types import DomId
from xenwire.xl.listing import ListedDomain, parse_table
from xenwire.xl.words import errors_in, failure, lines_of

if TYPE_CHECKING:
    from xenwire.config.libxl.types import DomainConfig
    from xenwire.config.libxl.version import XenVersion

__all__ = ["Xl"]

_TIMEOUT: Final = 60.0  # seconds; most take some milliseconds, ending a large domain takes its time
_MAX_OUTPUT: Final = 16 << 20  # bytes; a thousand domains with all their devices take less
_MAX_WORDS: Final = 1 << 16
_CHUNK: Final = 1 << 16


_VERSION: Final = re.compile(rb"^xen_version +: ([0-9]+\.[0-9]+(?:\.[0-9]+)?)", re.MULTILINE)


class _Result(NamedTuple):
    status: ExitStatus
    output: bytes
    words: bytes


@dataclass(frozen=True, slots=True)
class Xl:
    """The xl program. A command of it that is cancelled, or not done in time, is ended.

    Every method raises TimedOut, Denied (xl needs root), and XenwireError with xl's own words.
    """

    program: Path

    @classmethod
    def find(cls) -> Self:
        """Find the installed xl. Raises NotFound."""
        # Its folder is not in the path of everyone who became root.
        path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
        found = shutil.which("xl", path=path)
        if found is None:
            raise NotFound("there is no xl", reason="no folder of PATH has it", hint="install xen-utils")
        return cls(Path(found))

    async def domains(self, domid: DomId | None = None) -> list[ListedDomain]:
        """List all domains, Domain-0 too, or one. Raises NotFound if that does not exist, ProtocolError."""
        result = await self._do("cannot list the domains", "list", "-v", *_only(domid))
        return parse_table(result.output)

    async def version(self) -> XenVersion:
        """Tell which version of Xen this host runs. Raises ProtocolError."""
        from xenwire.config.libxl.version import XenVersion

        output = (await self._do("cannot tell the version of Xen", "info")).output
        found = _VERSION.search(output)
        if found is None:
            raise ProtocolError("xl info tells no version of Xen", reason=f"it begins with {output[:80]!r}")
        return XenVersion.parse(found[1].decode())

    async def config(self, domid: DomId) -> DomainConfig:
        """Give a domain's configuration: what it was made from, with later changes. Raises as `domains`."""
        from xenwire.config.libxl.json_reader import read_listing  # few ask for this, and all would wait

        message = f"cannot tell the configuration of domain {domid}"
        result = await self._do(message, "list", "-l", str(domid))
        for listed, config in read_listing(result.output) if result.output.strip() else ():
            if listed == domid:
                return config
        raise NotFound(message, reason="libxl keeps none for it")

    async def create(self, name: str, text: bytes, timeout: float) -> list[str]:
        """Build a domain from an xl.cfg, its processors stopped. Give the errors that xl made light of.

        If xl fails by itself it leaves nothing. A domain that it was building when it was cancelled or timed
        out is left as it is.

        Raises Conflict (its name is in use), NotFound (a file that it names).
        """
        with _file(text) as fd:
            message = f"cannot create domain {name!r}"
            result = await self._do(message, "create", "-q", "-p", _path(fd), fds=[fd], timeout=timeout)
        return errors_in(lines_of(result.words))

    async def dry_run(self, text: bytes) -> list[str]:
        """Give libxl's JSON of an xl.cfg, line by line; nothing is built."""
        with _file(text) as fd:
            message = "xl does not take the configuration"
            result = await self._do(message, "create", "-q", "-n", _path(fd), fds=[fd])
        try:
            return json.dumps(json.loads(result.output.decode("utf-8", "replace")), indent=4).splitlines()
        except (ValueError, RecursionError) as error:
            raise ProtocolError(
                "xl has printed no JSON", reason=f"it begins with {result.output[:80]!r}"
            ) from error

    async def destroy(self, domid: DomId) -> None:
        """End a domain at once, and remove what it leaves. Raises NotFound."""
        await self._do(f"cannot destroy domain {domid}", "destroy", str(domid), strict=True)

    async def pause(self, domid: DomId) -> None:
        """Stop a domain's processors. Xen counts: it runs again after as many `unpause`. Raises NotFound."""
        await self._do(f"cannot pause domain {domid}", "pause", str(domid), strict=True)

    async def unpause(self, domid: DomId) -> None:
        """Take back one `pause`. Raises NotFound, XenwireError if it is not paused."""
        await self._do(f"cannot unpause domain {domid}", "unpause", str(domid), strict=True)

    async def _do(
        self,
        message: str,
        *arguments: str,
        fds: Sequence[int] = (),
        timeout: float = _TIMEOUT,
        strict: bool = False,
    ) -> _Result:
        """Run it to its end. With `strict` it has failed if it tells of an error, whatever its status."""
        try:
            async with asyncio.timeout(timeout) as deadline:
                result = await self._run(arguments, fds)
        except TimeoutError as error:
            if not deadline.expired():
                raise
            raise TimedOut(message, reason=f"xl {arguments[0]} was not done after {timeout:g} s") from error
        if result.status or (strict and errors_in(lines_of(result.words))):
            raise failure(message, result.words, f"xl {arguments[0]} {result.status}")
        return result

    async def _run(self, arguments: Sequence[str], fds: Sequence[int]) -> _Result:
        process = await spawn(
            # In a session of its own: what is under way must not be cut short by the terminal's Ctrl-C.
            ["setsid", self.program, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
            pass_fds=fds,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        words = asyncio.ensure_future(_beginning(process.stderr))
        try:
            output = await _all(process.stdout)
            return _Result(ExitStatus(await process.wait()), output, await words)
        finally:
            if process.returncode is None:
                await end(process)
            words.cancel()
            await asyncio.wait([words])


def _only(domid: DomId | None) -> list[str]:
    return [] if domid is None else [str(domid)]


@contextmanager
def _file(text: bytes) -> Iterator[int]:
    """Give a descriptor of a file in memory: xl reads what was checked, and nothing is left behind."""
    fd = os.memfd_create("xl.cfg")
    try:
        with open(fd, "wb", closefd=False) as file:
            file.write(text)
        yield fd
    finally:
        os.close(fd)


def _path(fd: int) -> str:
    return f"/proc/self/fd/{fd}"


async def _all(stream: asyncio.StreamReader) -> bytes:
    """Read to the end. Raises ProtocolError if that is too much."""
    data = bytearray()
    while chunk := await stream.read(_CHUNK):
        data += chunk
        if len(data) > _MAX_OUTPUT:
            raise ProtocolError("xl prints without end", reason=f"more than {_MAX_OUTPUT} bytes")
    return bytes(data)


async def _beginning(stream: asyncio.StreamReader) -> bytes:
    """Read to the end, and give as much as can be wanted."""
    data = b""
    while chunk := await stream.read(_CHUNK):
        data = (data + chunk)[:_MAX_WORDS]
    return data
