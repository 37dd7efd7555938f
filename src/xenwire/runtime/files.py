"""Files that are whole or not there, and the ends of logs."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Final

__all__ = ["TAIL_BYTES", "tail", "write_atomic"]

TAIL_BYTES: Final = 8192
"""Bytes of a log that are looked at for its last lines."""


def write_atomic(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write `data` so that `path` has all of it or what it had before, whatever happens. Raises OSError."""
    fd, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(fd, mode)
            os.fsync(fd)
        Path(aside).replace(path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise


def tail(path: Path, lines: int = 10) -> list[str]:
    """Give the last lines of a log, at most 8 KiB of it. One that cannot be read has none."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL_BYTES))
            text = file.read(TAIL_BYTES).decode(errors="replace")
    except OSError:
        return []
    return text.splitlines()[-lines:]
