"""Calls to the kernel that Python has no name for."""

from __future__ import annotations

import ctypes
import os
from typing import Final

__all__ = ["capset", "prctl", "syscall"]

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long


def prctl(option: int, value: int = 0) -> int:
    """Do prctl(2). Raises OSError."""
    zero = ctypes.c_ulong(0)
    return _checked(_LIBC.prctl(option, ctypes.c_ulong(value), zero, zero, zero))


def capset(header: bytes, data: bytes) -> None:
    """Do capset(2). Raises OSError."""
    _checked(_LIBC.capset(header, data))


def syscall(number: int, *arguments: int | bytes | ctypes.Structure | None) -> int:
    """Do a system call: integers as longs, bytes and structures by their address. Raises OSError."""
    words = [
        ctypes.c_long(value)
        if isinstance(value, int)
        else ctypes.byref(value)
        if isinstance(value, ctypes.Structure)
        else value
        for value in arguments
    ]
    return _checked(_LIBC.syscall(ctypes.c_long(number), *words))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
