"""A hypervisor made of files, so that both ends of a ring run as processes of any machine.

A folder holds what Xen would: a file a granted page, `grant-FROM-TO-REFERENCE`, and for each offered port the
two doorbells `port-DOMID-PORT.1` (to whoever offered it) and `.2` (to whoever joins it), named pipes. A
doorbell has a name, as an eventfd has not, so an end that is killed and started again finds it; and a signal
stays in it while nobody is there.
"""

from __future__ import annotations

import itertools
import mmap
import os
import select
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Final

from xenwire.errors import NotFound
from xenwire.hypervisor.interface import EventChannels, Grants, Page

__all__ = ["LoopbackEventChannels", "LoopbackGrants"]

_FIRST_REFERENCE: Final = 8  # 0 to 7 are Xen's own


class LoopbackEventChannels(EventChannels):
    """The event channels of a process that plays a domain."""

    def __init__(self, folder: Path, domid: int) -> None:
        self._folder, self._domid = folder, domid
        self._poll = select.epoll()
        self._ports: dict[int, _Port] = {}
        self._by_fd: dict[int, int] = {}

    def fileno(self) -> int:
        return self._poll.fileno()

    def bind(self, domid: int, port: int) -> int:
        theirs, ours = self._doorbells(domid, self._domid, port)
        try:
            local = self._add(_Port(ours, theirs))
        except FileNotFoundError as error:
            message = f"cannot join event channel {port} of domain {domid}"
            raise NotFound(message, reason="it has offered us none") from error
        self._ports[local].ring_own()
        return local

    def offer(self, domid: int) -> int:
        for port in itertools.count(1):
            ours, theirs = self._doorbells(self._domid, domid, port)
            try:
                os.mkfifo(ours)
            except FileExistsError:
                continue
            os.mkfifo(theirs)
            return self._add(_Port(ours, theirs), port)
        raise AssertionError

    def unbind(self, port: int) -> None:
        bound = self._ports.pop(port)
        del self._by_fd[bound.fd]
        bound.close()

    def notify(self, port: int) -> None:
        self._ports[port].ring_theirs()

    def pending(self) -> list[int]:
        ports = [self._by_fd[fd] for fd, _ in self._poll.poll(0)]
        for port in ports:
            self._ports[port].silence()
            self._poll.modify(self._ports[port].fd, 0)
        return ports

    def unmask(self, ports: Collection[int]) -> None:
        for port in ports:
            if bound := self._ports.get(port):
                self._poll.modify(bound.fd, select.EPOLLIN)

    def close(self) -> None:
        for port in list(self._ports):
            self.unbind(port)
        self._poll.close()

    def _doorbells(self, offered_by: int, to: int, port: int) -> tuple[Path, Path]:
        stem = f"port-{offered_by}-{to}-{port}"
        return self._folder / f"{stem}.1", self._folder / f"{stem}.2"

    def _add(self, bound: _Port, number: int | None = None) -> int:
        # Numbers of joined ports are high, so that they differ from offered ones.
        local = number or next(n for n in itertools.count(1 << 16) if n not in self._ports)
        self._ports[local] = bound
        self._by_fd[bound.fd] = local
        self._poll.register(bound.fd, select.EPOLLIN)
        return local


class _Port:
    def __init__(self, ours: Path, theirs: Path) -> None:
        # Read and write: a pipe that one end holds so is never at its end, nor without a reader.
        self.fd = os.open(ours, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            self._theirs = os.open(theirs, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            os.close(self.fd)
            raise

    def ring_own(self) -> None:
        _ring(self.fd)

    def ring_theirs(self) -> None:
        _ring(self._theirs)

    def silence(self) -> None:
        with suppress(BlockingIOError):
            os.read(self.fd, mmap.PAGESIZE)

    def close(self) -> None:
        os.close(self.fd)
        os.close(self._theirs)


def _ring(fd: int) -> None:
    with suppress(BlockingIOError):  # it is full, and so is ringing
        os.write(fd, b"!")


class LoopbackGrants(Grants):
    """The granted pages of a process that plays a domain."""

    def __init__(self, folder: Path, domid: int) -> None:
        self._folder, self._domid = folder, domid

    def map(self, domid: int, reference: int) -> Page:
        try:
            return _LoopbackPage(self._path(domid, self._domid, reference), os.O_RDWR)
        except FileNotFoundError as error:
            message = f"cannot map the grant {reference} of domain {domid}"
            raise NotFound(message, reason="it has granted us none") from error

    def grant(self, domid: int) -> tuple[int, Page]:
        for reference in itertools.count(_FIRST_REFERENCE):
            path = self._path(self._domid, domid, reference)
            with suppress(FileExistsError):
                return reference, _LoopbackPage(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        raise AssertionError

    def close(self) -> None:
        pass

    def _path(self, granted_by: int, to: int, reference: int) -> Path:
        return self._folder / f"grant-{granted_by}-{to}-{reference}"


class _LoopbackPage(Page):
    def __init__(self, path: Path, flags: int) -> None:
        self._owned = path if flags & os.O_CREAT else None
        fd = os.open(path, flags | os.O_CLOEXEC, 0o600)
        try:
            if self._owned:
                os.ftruncate(fd, mmap.PAGESIZE)
            self._memory = mmap.mmap(fd, mmap.PAGESIZE)
        finally:
            os.close(fd)
        self.view = memoryview(self._memory)

    def unmap(self) -> None:
        self.view.release()
        self._memory.close()
        if self._owned:
            self._owned.unlink(missing_ok=True)
