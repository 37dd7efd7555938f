"""Which QEMU there is."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from xenwire.errors import NotFound

__all__ = ["DEFAULT_PROGRAM", "find_qemu"]

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
