"""Which QEMU there is, and what it runs guests with."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Final, Literal

from xenwire.errors import NotFound, UsageError

__all__ = ["DEFAULT_PROGRAM", "accelerator", "find_qemu"]

DEFAULT_PROGRAM: Final = "qemu-system-x86_64"


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
