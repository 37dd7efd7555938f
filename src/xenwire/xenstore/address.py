"""Where the store is: a daemon's Unix socket, or the kernel's device in a domain without one."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from xenwire.errors import Denied, Unreachable, XenwireError

__all__ = ["DEVICE", "DEVICE_MAX_PAYLOAD", "Address", "failed_to_reach", "find_store", "open_device"]

DEVICE: Final = Path("/dev/xen/xenbus")

DEVICE_MAX_PAYLOAD: Final = 4080
"""Linux counts the header into its buffer of 4096 bytes (linux: drivers/xen/xenbus/xenbus_dev_frontend.c)."""

_HINT: Final = "start one with 'xenwire store serve', or name its socket in XENSTORED_PATH"


class Address(NamedTuple):
    """A store that can be opened: a device where `device` is true, else a Unix socket."""

    path: Path
    device: bool


def find_store(
    address: str | os.PathLike[str] | None = None, environ: Mapping[str, str] = os.environ
) -> Address:
    """Find the store to talk to, as libxenstore does.

    `address` is the path of a Unix socket or of the device. Without one it is `$XENSTORED_PATH`, else
    `${XENSTORED_RUNDIR:-/var/run/xenstored}/socket` or `/dev/xen/xenbus`, whichever exists first.

    Raises Unreachable where there is neither, Denied where one may not look.
    """
    named = address or environ.get("XENSTORED_PATH")
    if named:
        places = [Path(named)]
    else:
        places = [Path(environ.get("XENSTORED_RUNDIR") or "/var/run/xenstored", "socket"), DEVICE]
    for path in places:
        try:
            mode = path.stat().st_mode
        except FileNotFoundError:
            continue
        except OSError as error:
            raise failed_to_reach(path, error) from error
        if stat.S_ISSOCK(mode) or stat.S_ISCHR(mode):
            return Address(path, device=stat.S_ISCHR(mode))
        raise Unreachable(f"no store at {path}", reason="it is neither a socket nor a device", hint=_HINT)
    raise Unreachable(
        "no store was found",
        reason=f"there is nothing at {' or '.join(map(str, places))}",
        hint=_HINT,
    )


def open_device(path: Path) -> io.FileIO:
    """Open the kernel's device, non-blocking for reads; its writes always block until they are taken.

    Raises Unreachable, also where this domain has no store; Denied.
    """
    try:
        return io.FileIO(os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK), "r+")
    except OSError as error:
        raise failed_to_reach(path, error) from error


def failed_to_reach(path: Path, error: OSError) -> XenwireError:
    """Give the error for a store that does not let itself be opened."""
    reason = error.strerror or str(error)
    if isinstance(error, PermissionError):
        return Denied(f"no access to the store at {path}", reason=reason, hint="most stores are root's alone")
    return Unreachable(f"cannot reach the store at {path}", reason=reason, hint=_HINT)
