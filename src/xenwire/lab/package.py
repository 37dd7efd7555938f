"""This very Xenwire in a lab's dom0: no image is built for it, no package made."""

from __future__ import annotations

import asyncio
import compileall
import shutil
import tempfile
from importlib import resources
from pathlib import Path
from typing import Final

from xenwire.errors import XenwireError
from xenwire.lab.session import LabSession

__all__ = ["install"]

_LAUNCHER: Final = """\
#!/usr/bin/python3
import sys

from xenwire.__main__ import {entry}

sys.exit({entry}())
"""

_PROGRAMS: Final = {"xenwire": "main", "xenwire-dm": "device_model"}

_PREPARE: Final = """
folder=$(echo /usr/local/lib/python3.*/dist-packages)
rm -rf "$folder/xenwire"
echo "$folder"
"""
"""Debian makes this folder with its one Python, and its Python looks there."""


def _copy(folder: Path) -> None:
    """Copy this package, compiled: under emulation Python takes seconds for that.

    Python of another version overlooks the compiled files.
    """
    with resources.as_file(resources.files("xenwire")) as here:
        shutil.copytree(here, folder)
    compileall.compile_dir(folder, quiet=2)


async def install(session: LabSession) -> None:
    """Put the files that this process runs from into dom0, as `xenwire`, in place of what was there before.

    It needs nothing but dom0's Python and its package python3-click, which every dom0 of ours has.

    Raises XenwireError, and what `LabSession.put` raises.
    """
    found = bytearray()

    async def take(data: bytes) -> None:
        found.extend(data)

    status = await session.run(["sh", "-c", _PREPARE], on_stdout=take)
    folder = found.decode(errors="replace").strip()
    if status or "*" in folder:
        raise XenwireError("cannot install Xenwire in the lab", reason=f"its dom0 has no folder {folder}")
    with tempfile.TemporaryDirectory() as scratch:
        package = Path(scratch, "package")
        await asyncio.to_thread(_copy, package)
        await session.put(package, f"{folder}/xenwire")
        for program, entry in _PROGRAMS.items():
            launcher = Path(scratch, program)
            launcher.write_text(_LAUNCHER.format(entry=entry))
            launcher.chmod(0o755)
            await session.put(launcher, f"/usr/local/bin/{program}")
