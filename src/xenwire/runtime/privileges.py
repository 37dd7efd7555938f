"""What a process may do: fewer capabilities, another user, and never more again.

Capabilities belong to a thread, and a new thread has those of its maker: `limit` comes before any is started.
(linux: include/uapi/linux/capability.h, prctl.h; capabilities(7))
"""

from __future__ import annotations

import errno
import logging
import os
import struct
from collections.abc import Collection
from enum import IntEnum
from pathlib import Path
from typing import Final

from xenwire.errors import Denied, XenwireError
from xenwire.runtime.libc import capset, prctl
from xenwire.runtime.process import resolve_user

__all__ = ["Capability", "become", "holds", "is_root_everywhere", "limit"]

_log = logging.getLogger(__name__)

_CAPBSET_READ: Final = 23
_CAPBSET_DROP: Final = 24
_SET_NO_NEW_PRIVS: Final = 38
_VERSION_3: Final = 0x20080522
_MOST: Final = 64  # capabilities that there can be


class Capability(IntEnum):
    """A piece of root's power."""

    CHOWN = 0
    """Give files to anyone."""
    DAC_OVERRIDE = 1
    """Read and write files whatever their mode."""
    FOWNER = 3
    """Change, link and remove the files of others as their owner may."""
    SETGID = 6
    SETUID = 7
    SETPCAP = 8
    """Take capabilities out of the bounding set."""
    SYS_CHROOT = 18


def limit(keep: Collection[Capability]) -> None:
    """Give up all capabilities but these, for good: no program that is started gets any back either.

    A process that has few keeps those of its few. Raises XenwireError if threads run already, whom it would
    not reach, or the kernel refuses.
    """
    if len(list(Path("/proc/self/task").iterdir())) > 1:
        raise XenwireError("cannot give up privileges", reason="the process has several threads")
    kept = sum(1 << capability for capability in keep) & _permitted()
    try:
        prctl(_SET_NO_NEW_PRIVS, 1)
        _bound(kept)
        low, high = kept & 0xFFFFFFFF, kept >> 32
        # effective, permitted and inheritable, first the lower halves; ambient ones go with the last
        capset(struct.pack("=Ii", _VERSION_3, 0), struct.pack("=6I", low, low, 0, high, high, 0))
    except OSError as error:
        raise XenwireError("cannot give up privileges", reason=error.strerror) from error


def holds(capabilities: Collection[Capability]) -> bool:
    """Tell whether this process has all of these."""
    permitted = _permitted()
    return all(permitted >> capability & 1 for capability in capabilities)


def is_root_everywhere() -> bool:
    """Tell whether user 0 here is root outside, too: not so in a namespace of users (user_namespaces(7))."""
    try:
        rows = Path("/proc/self/uid_map").read_text().splitlines()
    except FileNotFoundError:  # this kernel has no such namespaces
        return True
    return [row.split() for row in rows] == [["0", "0", str(2**32 - 1)]]


def become(user: str) -> None:
    """Be another user from now on, with its groups, in all threads. What root was capable of is gone then.

    `user` is a name or `uid:gid`. Raises NotFound (no such user), Denied (only root may).
    """
    uid, gid, groups = resolve_user(user)
    try:
        os.setgroups(groups)
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    except PermissionError as error:
        raise Denied(
            f"cannot become user {user}",
            reason="only root may change the user",
            hint="start it as that user, or as root",
        ) from error
    except OSError as error:
        raise XenwireError(f"cannot become user {user}", reason=error.strerror) from error


def _bound(kept: int) -> None:
    """Take out of the bounding set what is not kept, where that is allowed."""
    for number in range(_MOST):
        try:
            if prctl(_CAPBSET_READ, number) and not kept >> number & 1:
                prctl(_CAPBSET_DROP, number)
        except OSError as error:
            if error.errno == errno.EINVAL:  # the kernel has no more of them
                return
            if error.errno == errno.EPERM:
                _log.info("the bounding set of capabilities stays: only root may lower it")
                return
            raise


def _permitted() -> int:
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("CapPrm:"))
    return int(line.split()[1], 16)
