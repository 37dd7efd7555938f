"""Running one of Debian's tools to its end."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from xenwire.errors import NotFound, XenwireError
from xenwire.runtime.process import finish, spawn

__all__ = ["follow", "run"]

_GRACE: Final = 5.0  # seconds


async def run(argv: Sequence[str | Path], *, stdin: bytes = b"") -> bytes:
    """Run a program and give its output.

    Raises NotFound if there is no such program, XenwireError with its last words if it fails.
    """
    process = await _start(argv, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        stdout, stderr = await process.communicate(stdin)
    finally:
        await finish(process)
    _check(process, argv, stderr.decode(errors="replace").splitlines())
    return stdout


async def follow(
    argv: Sequence[str | Path], tell: Callable[[str], None], *, cwd: Path, grace: float = _GRACE
) -> None:
    """Run a program in a folder; `tell` is called with each line that it writes. Raises as `run` does.

    `grace`: seconds that it is given to end itself when this is cancelled.
    """
    process = await _start(argv, stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT, cwd=cwd)
    assert process.stdout is not None
    lines = []
    try:
        async for line in process.stdout:
            lines.append(line.decode(errors="replace").rstrip())
            tell(lines[-1])
        await process.wait()
    finally:
        await finish(process, grace)
    _check(process, argv, lines)


async def _start(
    argv: Sequence[str | Path], *, stdin: int, stderr: int, cwd: Path | None = None
) -> asyncio.subprocess.Process:
    if shutil.which(argv[0]) is None:
        raise NotFound(
            "cannot build the image",
            reason=f"there is no program {argv[0]}",
            hint="images are made of Debian's packages, on a Debian host with apt and dpkg",
        )
    return await spawn(
        argv,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env={**os.environ, "LC_ALL": "C.UTF-8"},  # what it says is read by a program
        cwd=cwd,
        die_with_parent=True,
    )


def _check(process: asyncio.subprocess.Process, argv: Sequence[str | Path], lines: Sequence[str]) -> None:
    """Raise the error that tells of a failure in the program's words: apt's first error, or the last line."""
    if process.returncode:
        words = [line for line in lines if line.strip()] or ["it did not say why"]
        error = next((line for line in words if line.startswith("E: ")), words[-1])
        raise XenwireError("cannot build the image", reason=f"{argv[0]} failed: {error.removeprefix('E: ')}")
