"""Which QEMU there is, and what it can do."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from xenwire.errors import NotFound, ProtocolError, TimedOut, Unreachable, UsageError, XenwireError
from xenwire.qemu.process import Qemu
from xenwire.qemu.qmp.session import Version

__all__ = ["DEFAULT_PROGRAM", "Capabilities", "accelerator", "find_qemu", "probe"]

DEFAULT_PROGRAM: Final = "qemu-system-x86_64"

_PROBE_ARGUMENTS: Final = ("-machine", "none", "-nodefaults", "-no-user-config", "-display", "none")


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a QEMU program says of itself."""

    version: Version
    devices: frozenset[str]
    """The device types that it has, for `-device` and for its machines."""
    commands: frozenset[str]
    """The QMP commands that it knows."""


def find_qemu(explicit: str | None = None) -> Path:
    """Give the QEMU program: `explicit`, else `$XENWIRE_QEMU`, else qemu-system-x86_64 on PATH.

    Raises NotFound if it is not there, or no program.
    """
    wanted = explicit or os.environ.get("XENWIRE_QEMU") or DEFAULT_PROGRAM
    if found := shutil.which(wanted):
        return Path(found).absolute()
    raise NotFound(
        "cannot find QEMU",
        reason=f"{wanted} is no program" if "/" in wanted else f"there is no {wanted} on PATH",
        hint="apt-get install qemu-system-x86",
        program=wanted,
    )


def accelerator() -> Literal["kvm", "tcg"]:
    """Give what QEMU should run guests with: `$XENWIRE_ACCEL`, else kvm where it works, else tcg.

    On some virtual machines /dev/kvm opens and yet no guest gets going; there the processor's flags are
    missing. Raises UsageError for another word in `$XENWIRE_ACCEL`.
    """
    match os.environ.get("XENWIRE_ACCEL"):
        case None | "":
            return "kvm" if _virtualisation_flag() and _kvm_opens() else "tcg"
        case "kvm" | "tcg" as wanted:
            return wanted
        case other:
            raise UsageError(f"not an accelerator: XENWIRE_ACCEL={other}", hint="use kvm or tcg")


async def probe(program: Path, *, user: str | None = None, timeout: float = 10.0) -> Capabilities:
    """Ask a QEMU program, started without a machine for the purpose, what it can do; about 0.1 s.

    `user` and errors: see `Qemu.start`. `timeout`, in seconds, is for the start and for each answer.
    """
    with tempfile.TemporaryDirectory(prefix="xenwire-") as folder:
        log = Path(folder) / "probe.log"
        try:
            qemu = await Qemu.start(program, _PROBE_ARGUMENTS, log=log, user=user, timeout=timeout)
        except XenwireError as error:
            # Its log, which the hint names, goes with this folder.
            if error.context.get("status") is not None or isinstance(error, (TimedOut, Unreachable)):
                error.hint = f"try by hand: {program} {' '.join(_PROBE_ARGUMENTS)}"
            raise
        async with qemu:
            ask = qemu.qmp.execute
            types = await ask("qom-list-types", implements="device", timeout=timeout)
            commands = await ask("query-commands", timeout=timeout)
            return Capabilities(qemu.qmp.version, _names(types), _names(commands))


def _names(entries: Any) -> frozenset[str]:
    try:
        return frozenset(str(entry["name"]) for entry in entries)
    except (TypeError, KeyError) as error:
        raise ProtocolError("QEMU listed its abilities in no known form") from error


def _kvm_opens() -> bool:
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _virtualisation_flag() -> bool:
    try:
        cpuinfo = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return re.search(r"^flags\s*:.*\b(vmx|svm)\b", cpuinfo, re.MULTILINE) is not None
