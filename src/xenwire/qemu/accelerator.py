"""What QEMU runs guests with: KVM where it really runs one, else software emulation (TCG).

On some virtual machines /dev/kvm opens, and makes machines and processors, yet no guest ever gets going. The
processor's flags may tell at once; else a guest is tried, and what came of it is remembered until this
machine is booted anew.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import tempfile
from pathlib import Path
from typing import Any, Final, Literal

from xenwire.errors import UsageError, XenwireError
from xenwire.qemu.program import find_qemu
from xenwire.runtime.files import write_atomic
from xenwire.runtime.places import cache_dir
from xenwire.runtime.process import end, spawn

__all__ = ["KVM", "accelerator", "kvm_works", "runs_guest"]

_log = logging.getLogger(__name__)

KVM: Final = Path("/dev/kvm")
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")

_CPUINFO: Final = Path("/proc/cpuinfo")
_FLAG: Final = re.compile(r"^flags\s*:.*\b(vmx|svm)\b", re.MULTILINE)

_TRY_SECONDS: Final = 5.0
_BOOT_SECTOR: Final = bytes.fromhex("b010 baf400 ee f4").ljust(510, b"\0") + b"\x55\xaa"
"""mov al, 0x10; mov dx, 0xf4; out dx, al; hlt: QEMU's isa-debug-exit then ends with status 2 * 0x10 + 1."""
_BOOTED: Final = 33


async def accelerator() -> Literal["kvm", "tcg"]:
    """Give what QEMU should run guests with: `$XENWIRE_ACCEL`, else kvm where it works, else tcg.

    Raises UsageError for another word in `$XENWIRE_ACCEL`.
    """
    match os.environ.get("XENWIRE_ACCEL"):
        case None | "":
            return "kvm" if await kvm_works() else "tcg"
        case "kvm" | "tcg" as wanted:
            return wanted
        case other:
            raise UsageError(f"not an accelerator: XENWIRE_ACCEL={other}", hint="use kvm or tcg")


async def kvm_works(*, anew: bool = False) -> bool:
    """Tell whether QEMU runs a guest with KVM. It is tried once after each boot of this machine; `anew`: now.

    A trial takes a fraction of a second, or five seconds where no guest gets going. If QEMU cannot be started
    at all the answer is no: who starts it to use it is told why.
    """
    try:
        if not os.access(KVM, os.R_OK | os.W_OK) or not _FLAG.search(_CPUINFO.read_text()):
            return False
        program = find_qemu()
        memory = cache_dir() / "kvm.json"
        boot, identity = _BOOT_ID.read_text().strip(), _identity(program)
        known = _recall(memory, boot)
        if anew or identity not in known:
            known[identity] = await runs_guest(program, "kvm")
            _remember(memory, boot, known)
    except (XenwireError, OSError):
        return False
    return known[identity] is True


def _identity(program: Path) -> str:
    """Tell a program from its later versions."""
    stat = program.stat()
    return json.dumps([str(program), stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns])


def _recall(memory: Path, boot: str) -> dict[str, Any]:
    """Give which programs have been tried since this machine was booted, and whether they worked."""
    try:
        fields = json.loads(memory.read_bytes())
    except (OSError, ValueError):
        return {}  # none yet, or not readable
    return fields["works"] if isinstance(fields, dict) and fields.get("boot") == boot else {}


def _remember(memory: Path, boot: str, works: dict[str, Any]) -> None:
    try:
        write_atomic(memory, json.dumps({"boot": boot, "works": works}).encode())
    except OSError as error:
        _log.warning("cannot remember whether KVM works: %s", error)


async def runs_guest(program: Path, accelerator: str) -> bool:
    """Tell whether a guest of one sector gets to its end within 5 s. Raises NotFound, Denied."""
    with tempfile.TemporaryDirectory(prefix="xenwire-") as folder:
        disk = Path(folder) / "sector"
        disk.write_bytes(_BOOT_SECTOR)
        process = await spawn(
            [
                program,
                *("-accel", accelerator, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
                *("-device", "isa-debug-exit,iobase=0xf4,iosize=1", "-boot", "a"),
                *("-drive", f"file={disk},format=raw,if=floppy,readonly=on"),
            ],
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            die_with_parent=True,
        )
        ending = asyncio.ensure_future(process.wait())
        try:
            await asyncio.wait([ending], timeout=_TRY_SECONDS)
        finally:
            await end(process, 0)
        return await ending == _BOOTED
