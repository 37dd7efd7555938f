"""Having Xen end a domain from outside, as its device model does when it cannot go on.

The hypercall is sched_op's remote_shutdown (xen: xen/include/public/sched.h), by Linux's privcmd
(xen: tools/include/xen-sys/Linux/privcmd.h).
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import struct
from typing import Final

from xenwire.errors import XenwireError
from xenwire.hypervisor.linux import open_device

__all__ = ["crash"]

_PRIVCMD: Final = "/dev/xen/privcmd"
_BUFFER: Final = "/dev/xen/hypercall"
"""Memory that stays where it is while Xen reads it."""

_HYPERCALL: Final = 0x00305000  # ioctl; u64 number, u64 arguments[5]
_SCHED_OP: Final = 29
_REMOTE_SHUTDOWN: Final = 4
_CRASH: Final = 3


def crash(domid: int) -> None:
    """Have a domain stop with the reason `crash`: its toolstack then does what `on_crash` says.

    Nothing happens to one that has stopped already. Raises what `open_device` raises, and XenwireError if Xen
    refuses.
    """
    privcmd = open_device(_PRIVCMD)
    try:
        with _locked(struct.pack("=HxxI", domid, _CRASH)) as argument:
            address = ctypes.addressof(ctypes.c_char.from_buffer(argument))
            call = struct.pack("=6Q", _SCHED_OP, _REMOTE_SHUTDOWN, address, 0, 0, 0)
            fcntl.ioctl(privcmd, _HYPERCALL, call)
    except OSError as error:
        raise XenwireError(
            f"cannot end domain {domid}",
            reason=os.strerror(error.errno or 0),
            hint=f"nobody serves its devices any more: xl destroy {domid}",
        ) from error
    finally:
        os.close(privcmd)


def _locked(data: bytes) -> mmap.mmap:
    fd = open_device(_BUFFER)
    try:
        memory = mmap.mmap(fd, mmap.PAGESIZE)
    finally:
        os.close(fd)
    memory[: len(data)] = data
    return memory
