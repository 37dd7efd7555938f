"""Parameters that several commands share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import click

from xenwire.errors import Denied, NotFound, UsageError, XenwireError

__all__ = ["domain_argument", "duration", "host_option", "read_file"]

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}
_SHORTEST: Final = 0.001  # seconds
_LONGEST: Final = 30 * 24 * 3600.0


def duration(text: str) -> float:
    """Read a time such as 30s, 1.5s, 500ms, 2m, 1h or a bare number of seconds; gives seconds."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|)", text)
    if match is None:
        raise click.BadParameter(f"{text!r} is not a duration; write 30s, 500ms or 2m")
    seconds = float(match[1]) * _UNITS[match[2]]
    if not _SHORTEST <= seconds <= _LONGEST:
        raise click.BadParameter(f"{text!r} is not between 1ms and 720h (30 days)")
    return seconds


host_option = click.option(
    "--host",
    metavar="URI",
    envvar="XENWIRE_HOST",
    show_envvar=True,
    help="Where domains run: xen: (this dom0's Xen host), the default there, or qemu: (plain QEMU).",
)

domain_argument = click.argument("domain")


def read_file(path: Path, limit: int) -> bytes:
    """Read a file that the user named, a pipe perhaps, of at most `limit` bytes.

    Raises NotFound, Denied, UsageError (a folder, too large), XenwireError.
    """
    message = f"cannot read {path}"
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except FileNotFoundError as error:
        raise NotFound(message, reason="it does not exist") from error
    except PermissionError as error:
        raise Denied(message, reason="you may not read it") from error
    except IsADirectoryError as error:
        raise UsageError(message, reason="it is a folder", hint="name a file in it") from error
    except OSError as error:
        raise XenwireError(message, reason=error.strerror) from error
    if len(data) > limit:
        raise UsageError(message, reason=f"it has more than {limit} bytes", hint="name another file")
    return data
