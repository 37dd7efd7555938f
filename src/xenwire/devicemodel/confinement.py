"""What a plain QEMU gives up before its guest runs: root's rights, the host's files, starting programs."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

from xenwire.errors import XenwireError
from xenwire.qemu.options import escape
from xenwire.runtime.files import write_atomic
from xenwire.runtime.places import run_dir
from xenwire.runtime.privileges import Capability, holds, is_root_everywhere
from xenwire.types import DomId

if TYPE_CHECKING:
    from xenwire.qemu.capabilities import Capabilities

__all__ = ["confinement"]

_log = logging.getLogger(__name__)

_FIRST_USER: Final = 0x7000_0000
"""The QEMU of domain N has this user and group plus N: they are nobody's (systemd: docs/UIDS-GIDS.md)."""
_NEEDED: Final = (Capability.SETUID, Capability.SETGID, Capability.SYS_CHROOT)
_CHANGES_USER: Final = frozenset({"-runas", "-run-with", "-chroot", "-daemonize"})
_SHARES: Final = frozenset({"-fsdev", "-virtfs"})
_HOST_DEVICE: Final = re.compile(r"\b(vfio-|usb-host\b)")
"""Devices of the host: they lock memory, and are opened again."""
_NETWORK: Final = frozenset({"-netdev", "-nic", "-net"})


def confinement(able: Capabilities, domid: DomId, arguments: Sequence[str], *, drop: bool) -> list[str]:
    """Give the arguments that confine a QEMU with these arguments.

    With `drop`, one that is started as root becomes a user of its domain's own, in a folder without files,
    once it has opened all that its arguments name. Raises XenwireError if that folder cannot be made.
    """
    words = [word[1:] if word.startswith("--") else word for word in arguments]
    drops = drop and os.geteuid() == 0 and _may_drop(words)
    return [*_sandbox(able, words, drops=drops), *(_dropped(able, _FIRST_USER + domid) if drops else [])]


def _may_drop(words: Sequence[str]) -> bool:
    """Tell whether a QEMU with these arguments can become another user; say why where it cannot."""
    if needs := sorted(_later_needs(words)):
        _log.warning("root's rights are not taken from QEMU: %s may need them", ", ".join(needs))
        return False
    # Where root is somebody else outside, a QEMU that is another user would outlive us: see Lifeline.
    if not is_root_everywhere() or not holds(_NEEDED):
        _log.warning("root's rights are not taken from QEMU: this container does not let it change its user")
        return False
    return True


def _later_needs(words: Sequence[str]) -> frozenset[str]:
    """Give the options that say themselves who QEMU is, or need root's rights or files when it runs."""
    taps = _networks(words, "tap")  # they run a script at the end
    return (
        (_CHANGES_USER | _SHARES).intersection(words)
        | taps
        | {
            option
            for option, value in pairwise(words)
            if (option == "-device" and _HOST_DEVICE.search(value))
            or (option == "-overcommit" and "mem-lock=on" in value)
            or (option == "-sandbox" and "elevateprivileges" in value)
        }
    )


def _dropped(able: Capabilities, user: int) -> list[str]:
    """Give the arguments for root folder and user: newer QEMUs have others."""
    root, ids = str(_root()), f"{user}:{user}"
    newer = able.options
    return [
        *(["-run-with", f"chroot={escape(root)}"] if "run-with.chroot" in newer else ["-chroot", root]),
        *(["-run-with", f"user={ids}"] if "run-with.user" in newer else ["-runas", ids]),
    ]


def _root() -> Path:
    """Make the root folder of all QEMUs, where none may write: it has what their own network has to know."""
    root = run_dir() / "qemu-root"
    copy = root / "etc" / "resolv.conf"
    servers = _content(Path("/etc/resolv.conf"))
    try:
        for folder in (root, root / "etc"):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o755)  # whatever the umask is
        if servers != _content(copy):
            write_atomic(copy, servers, 0o644)
    except OSError as error:
        raise XenwireError(f"cannot make the folder {root}", reason=error.strerror) from error
    return root


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _sandbox(able: Capabilities, words: Sequence[str], *, drops: bool) -> list[str]:
    """Give the arguments that keep QEMU from starting programs, changing its user and old system calls.

    None where its own have a word in it, or need what it forbids.
    """
    if "-sandbox" in words:
        return []
    hinders = _CHANGES_USER.intersection(words) | _networks(words, "bridge", "tap")
    if "sandbox" not in able.options:
        _log.warning("nothing keeps QEMU from starting programs: it was built without -sandbox")
    elif hinders:
        _log.warning("nothing keeps QEMU from starting programs: %s may need it", ", ".join(sorted(hinders)))
    else:
        users = "allow" if drops else "deny"  # who has dropped its rights has none to change it
        return ["-sandbox", f"on,obsolete=deny,elevateprivileges={users},spawn=deny,resourcecontrol=deny"]
    return []


def _networks(words: Sequence[str], *kinds: str) -> set[str]:
    """Give the options for network devices of these kinds: for a bridge and a tap QEMU may start programs."""
    return {option for option, value in pairwise(words) if option in _NETWORK and _kind(value) in kinds}


def _kind(value: str) -> str | None:
    """Give the type of a network device."""
    if value.startswith("{"):
        try:
            return str(json.loads(value).get("type"))
        except (ValueError, AttributeError):
            return None  # QEMU will say what is wrong with it
    words = value.split(",")
    return next((word.removeprefix("type=") for word in words if word.startswith("type=")), words[0])
