"""What xl says when it fails, as one of our errors. Pure.

Its exit status tells little: `xl pause` gives 0 for a domain that does not exist. Its words on stderr tell
more: the first error is the cause, and what follows it are its consequences.
"""

from __future__ import annotations

import re
from typing import Final

from xenwire.errors import Conflict, Denied, NotFound, XenwireError

__all__ = ["errors_in", "failure", "is_error", "lines_of"]

_MAX_LINES: Final = 1000
_LONGEST: Final = 500  # characters of a line

_PREFIX: Final = re.compile(
    r"(?:(?:libxl|libxlu|xl|xc|xencall|libxendevicemodel): *)?(?:(?:error|Error|ERROR|panic|warning): *)*"
    r"(?:\w+\.c:[0-9]+: *(?:\w+: *)?)?(?:Domain [0-9]+: *)?"
)
"""Who speaks, how bad it is, where in the source, about which domain."""

_SUFFIX: Final = ": Internal error"
"""What libxenguest adds to nearly every error."""

_ERROR: Final = re.compile(
    r"\w+: error:|Error: |ERROR: |Failed to |.* is an invalid domain identifier|.*: config parsing error"
)

_MEANINGS: Final[tuple[tuple[str, type[XenwireError], str], ...]] = (
    ("already exists", Conflict, "destroy the other first (see: xenwire list), or choose another name"),
    ("invalid domain identifier", NotFound, "see: xenwire list"),
    ("does not exist", NotFound, "see: xenwire list"),
    ("No such process", NotFound, "see: xenwire list"),
    ("No such file or directory", NotFound, "paths are dom0's, and relative ones count from this folder"),
    ("Permission denied", Denied, "xl needs root"),
    ("Operation not permitted", Denied, "xl needs root"),
    ("Out of memory", XenwireError, "give the domain less memory, or free some (see: xl info free_memory)"),
    ("failed to free memory", XenwireError, "give it less memory, or free some (see: xl info free_memory)"),
)
"""Words that tell what went wrong, the class that callers know it by, and what to try."""


def lines_of(words: bytes) -> list[str]:
    """Give what xl has said, a line each, so that it can be shown: printable, bounded."""
    lines = words.decode("utf-8", "replace").splitlines()[:_MAX_LINES]
    return ["".join(c if c.isprintable() else " " for c in line[:_LONGEST]) for line in lines if line.strip()]


def errors_in(lines: list[str]) -> list[str]:
    """Give the lines that tell of an error, without the place in xl's source."""
    return [_bare(line) for line in lines if is_error(line)]


def is_error(line: str) -> bool:
    """Whether a line tells of an error."""
    return _ERROR.match(line) is not None


def failure(message: str, words: bytes, otherwise: str) -> XenwireError:
    """Give the error for a command that failed. `otherwise`: the reason if xl said nothing."""
    lines = lines_of(words)
    reason = next(iter([*errors_in(lines), *map(_bare, lines), otherwise]))
    for mark, group, hint in _MEANINGS:
        if mark in reason:
            return group(message, reason=reason, hint=hint, words=lines)
    return XenwireError(message, reason=reason, words=lines)


def _bare(line: str) -> str:
    return _PREFIX.sub("", line, count=1).removesuffix(_SUFFIX)
