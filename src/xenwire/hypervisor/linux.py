"""Xen as Linux offers it: /dev/xen/evtchn, /dev/xen/gntdev and /dev/xen/gntalloc, by ioctl.

Numbers and layouts: xen: tools/include/xen-sys/Linux/evtchn.h, gntdev.h, gntalloc.h.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import struct
from collections.abc import Collection
from contextlib import suppress
from typing import Final, NoReturn

from xenwire.errors import Denied, NotFound, Unreachable, XenwireError
from xenwire.hypervisor.interface import EventChannels, Grants, Page

__all__ = ["LinuxEventChannels", "LinuxGrants", "open_device"]

_BIND_INTERDOMAIN: Final = 0x00084501
_BIND_UNBOUND_PORT: Final = 0x00044502
_UNBIND: Final = 0x00044503
_NOTIFY: Final = 0x00044504

_MAP_GRANT_REF: Final = 0x00184700
_UNMAP_GRANT_REF: Final = 0x00104701
_ALLOC_GREF: Final = 0x00184705
_DEALLOC_GREF: Final = 0x00104706
_WRITABLE: Final = 1

_MOST_PORTS: Final = 1024  # that one read gives


class LinuxEventChannels(EventChannels):
    """The event channels of this domain's kernel."""

    def __init__(self) -> None:
        """Raise Unreachable (this is no Xen domain) or Denied."""
        self._fd = open_device("/dev/xen/evtchn")

    def fileno(self) -> int:
        return self._fd

    def bind(self, domid: int, port: int) -> int:
        try:
            return self._do(_BIND_INTERDOMAIN, "=II", domid, port)
        except OSError as error:
            _refused(error, f"cannot join event channel {port} of domain {domid}")

    def offer(self, domid: int) -> int:
        try:
            return self._do(_BIND_UNBOUND_PORT, "=I", domid)
        except OSError as error:
            _refused(error, f"cannot offer an event channel to domain {domid}")

    def unbind(self, port: int) -> None:
        self._do(_UNBIND, "=I", port)

    def notify(self, port: int) -> None:
        self._do(_NOTIFY, "=I", port)

    def pending(self) -> list[int]:
        try:
            data = os.read(self._fd, 4 * _MOST_PORTS)
        except BlockingIOError:
            return []
        return list(memoryview(data).cast("I"))

    def unmask(self, ports: Collection[int]) -> None:
        if ports:
            os.write(self._fd, struct.pack(f"={len(ports)}I", *ports))

    def close(self) -> None:
        os.close(self._fd)

    def _do(self, request: int, layout: str, *values: int) -> int:
        # Given something to change, ioctl returns its result: a port.
        result: int = fcntl.ioctl(self._fd, request, bytearray(struct.pack(layout, *values)), True)
        return result


class LinuxGrants(Grants):
    """The grants of this domain's kernel."""

    def __init__(self) -> None:
        """Raise Unreachable (this is no Xen domain) or Denied."""
        self._gntdev = open_device("/dev/xen/gntdev")
        self._gntalloc: int | None = None

    def map(self, domid: int, reference: int) -> Page:
        request = bytearray(struct.pack("=IIQII", 1, 0, 0, domid, reference))
        fcntl.ioctl(self._gntdev, _MAP_GRANT_REF, request, True)
        (index,) = struct.unpack_from("=Q", request, 8)
        release = struct.pack("=QII", index, 1, 0)
        try:
            return _LinuxPage(self._gntdev, index, _UNMAP_GRANT_REF, release)
        except OSError as error:
            fcntl.ioctl(self._gntdev, _UNMAP_GRANT_REF, release)
            _refused(error, f"cannot map the grant {reference} of domain {domid}")

    def grant(self, domid: int) -> tuple[int, Page]:
        if self._gntalloc is None:
            self._gntalloc = open_device("/dev/xen/gntalloc")
        request = bytearray(struct.pack("=HHIQI4x", domid, _WRITABLE, 1, 0, 0))
        try:
            fcntl.ioctl(self._gntalloc, _ALLOC_GREF, request, True)
        except OSError as error:
            _refused(error, f"cannot grant domain {domid} a page")
        index, reference = struct.unpack_from("=QI", request, 8)
        release = struct.pack("=QII", index, 1, 0)
        return reference, _LinuxPage(self._gntalloc, index, _DEALLOC_GREF, release)

    def close(self) -> None:
        os.close(self._gntdev)
        if self._gntalloc is not None:
            os.close(self._gntalloc)


class _LinuxPage(Page):
    def __init__(self, fd: int, index: int, request: int, release: bytes) -> None:
        self._release = (fd, request, release)
        self._memory = mmap.mmap(fd, mmap.PAGESIZE, offset=index)
        self.view = memoryview(self._memory)

    def unmap(self) -> None:
        self.view.release()
        self._memory.close()
        # With the last mapping the kernel may have let go of it already.
        with suppress(OSError):
            fcntl.ioctl(*self._release)


def open_device(device: str) -> int:
    """Open one of the kernel's devices for Xen. Raises Denied, or Unreachable where it is not there."""
    try:
        return os.open(device, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, OSError) as error:
        if isinstance(error, PermissionError):
            raise Denied(f"cannot use {device}", reason="it is root's", hint="run this as root") from error
        raise Unreachable(
            f"cannot use {device}",
            reason=os.strerror(error.errno or 0),
            hint="is this a domain of Xen, with the module loaded?",
        ) from error


def _refused(error: OSError, message: str) -> NoReturn:
    """Raise NotFound for what another domain must have offered and has not, Unreachable for a shortage."""
    if error.errno in (errno.EINVAL, errno.ESRCH, errno.ENOENT):
        raise NotFound(message, reason="it has offered us none") from error
    if error.errno in (errno.ENOMEM, errno.ENOSPC, errno.EAGAIN):
        raise Unreachable(message, reason=os.strerror(error.errno)) from error
    raise XenwireError(message, reason=os.strerror(error.errno or 0)) from error
