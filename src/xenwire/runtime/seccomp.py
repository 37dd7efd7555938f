"""Which system calls a process may make: few, from here to its end.

The filter is a program of the classic Berkeley Packet Filter that the kernel runs at each call (linux:
Documentation/userspace-api/seccomp_filter.rst; include/uapi/linux/seccomp.h, filter.h, audit.h). Calls that
are always allowed are looked up in a bitmap since Linux 5.11, and cost nothing.
"""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import socket
import struct
import sys
from collections.abc import Iterator
from typing import Final, NamedTuple

from xenwire.errors import XenwireError
from xenwire.runtime.libc import syscall
from xenwire.runtime.syscalls import ALLOWED, HOSTILE, OWN, Numbers

__all__ = ["MACHINES", "Machine", "confine", "filter_program"]

_log = logging.getLogger(__name__)


class Machine(NamedTuple):
    """What differs from one kind of processor to the next."""

    architecture: int
    """As the kernel tells it to the filter."""
    column: int
    """Which of the numbers in `runtime.syscalls` are its own."""
    seccomp: int
    """The number of seccomp(2)."""


MACHINES: Final = {
    "x86_64": Machine(0xC000003E, 0, 317),
    "aarch64": Machine(0xC00000B7, 1, 277),
}

_LOAD: Final = 0x20  # a word of what is known of the call
_IF_EQUAL: Final = 0x15
_IF_AT_LEAST: Final = 0x35
_IF_ANY_BIT: Final = 0x45
_RETURN: Final = 0x06

# struct seccomp_data: number, architecture, instruction pointer, six arguments of 64 bits
_NUMBER: Final = 0
_ARCHITECTURE: Final = 4
_FIRST_ARGUMENT: Final = 16

_ALLOW: Final = 0x7FFF0000
_KILL: Final = 0x80000000
_REFUSE: Final = 0x00050000 | errno.EPERM
_UNKNOWN: Final = 0x00050000 | errno.ENOSYS

_X32: Final = 0x40000000  # x86-64's second set of numbers
_RECENT: Final = 424
"""Calls from Linux 5.1 on, numbered alike everywhere. A C library tries them, and does without if they do not
exist; if they are refused it may fail."""

_CLONE_THREAD: Final = 0x00010000

_SET_MODE_FILTER: Final = 1
_ALL_THREADS: Final = 1


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def confine() -> bool:
    """Allow this process, all of its threads, only what `runtime.syscalls` says, for good.

    Other calls fail with EPERM, hostile ones kill it; no program can be started, no connection made but to
    Unix sockets. `privileges.limit` comes before, unless root does this.

    Tells whether the kernel and the processor can. Raises XenwireError if it is refused.
    """
    name = os.uname().machine
    machine = MACHINES.get(name)
    if machine is None or sys.maxsize < 1 << 32 or sys.byteorder != "little":
        _log.info("system calls are not restricted: there is no list of them for %s", name)
        return False
    program = filter_program(machine, os.getpid())
    try:
        thread = syscall(
            machine.seccomp, _SET_MODE_FILTER, _ALL_THREADS, _Program(len(program) // 8, program)
        )
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EINVAL):
            _log.info("system calls are not restricted: this kernel cannot")
            return False
        raise XenwireError("cannot restrict system calls", reason=error.strerror) from error
    if thread:
        raise XenwireError("cannot restrict system calls", reason=f"thread {thread} has a filter of its own")
    return True


def filter_program(machine: Machine, pid: int) -> bytes:
    """Give the filter of a process, 8 bytes an instruction."""
    return b"".join(_instructions(machine, pid))


def _instructions(machine: Machine, pid: int) -> Iterator[bytes]:
    yield _instruction(_LOAD, _ARCHITECTURE)
    yield _instruction(_IF_EQUAL, machine.architecture, if_so=1)
    yield _instruction(_RETURN, _KILL)
    yield _instruction(_LOAD, _NUMBER)
    yield from _if(_IF_AT_LEAST, _X32, _KILL)
    for number in _numbers(ALLOWED, machine):
        yield from _if(_IF_EQUAL, number, _ALLOW)
    for number in _numbers(HOSTILE, machine):
        yield from _if(_IF_EQUAL, number, _KILL)
    tests = {
        "socket": (_IF_EQUAL, socket.AF_UNIX),
        "socketpair": (_IF_EQUAL, socket.AF_UNIX),
        "clone": (_IF_ANY_BIT, _CLONE_THREAD),
        "kill": (_IF_EQUAL, pid),
        "tgkill": (_IF_EQUAL, pid),
        "prlimit64": (_IF_EQUAL, 0),
    }
    for name, (test, value) in tests.items():
        (number,) = _numbers({name: OWN[name]}, machine)
        yield _instruction(_IF_EQUAL, number, if_not=4)
        yield _instruction(_LOAD, _FIRST_ARGUMENT)  # its lower half: to the kernel all of these are ints
        yield from _if(test, value, _ALLOW)
        yield _instruction(_RETURN, _REFUSE)
    yield from _if(_IF_AT_LEAST, _RECENT, _UNKNOWN)
    yield _instruction(_RETURN, _REFUSE)


def _numbers(calls: Numbers, machine: Machine) -> Iterator[int]:
    for numbers in calls.values():
        number = numbers[machine.column]
        if number is not None:
            yield number


def _if(test: int, value: int, action: int) -> Iterator[bytes]:
    yield _instruction(test, value, if_not=1)
    yield _instruction(_RETURN, action)


def _instruction(code: int, value: int, *, if_so: int = 0, if_not: int = 0) -> bytes:
    """Give one instruction; a test skips so many of those that follow."""
    return struct.pack("=HBBI", code, if_so, if_not, value)
