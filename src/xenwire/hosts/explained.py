"""Why xl could not make a domain: besides its own words, the phase, and what the log of that phase says."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from xenwire.errors import XenwireError
from xenwire.runtime.files import tail
from xenwire.xl.phases import failed_phase

__all__ = ["explain"]

_LINES: Final = 5


def explain(error: XenwireError, name: str, since: float) -> None:
    """Add them to the error, which has xl's words. A log not written to since (Unix time) is left out."""
    phase = failed_phase(error.context.get("words", ()), name)
    if phase is None:
        return
    error.context["phase"] = phase.name
    reason = f"{phase.name}: {error.reason}"
    if phase.log is not None and "/" not in name and _written(Path(phase.log), since):
        reason = "\n".join([reason, *tail(Path(phase.log), _LINES)])
        error.hint = error.hint or f"see its log: {phase.log}"
    error.reason = reason


def _written(log: Path, since: float) -> bool:
    try:
        return log.stat().st_mtime >= since
    except OSError:
        return False
