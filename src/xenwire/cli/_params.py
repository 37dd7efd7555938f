"""Parameters that several commands share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import click

from xenwire.errors import Denied, NotFound, XenwireError

__all__ = ["DURATION", "domain_argument", "host_option", "read_file"]


class _Duration(click.ParamType[float]):
    """A time such as 30s, 1.5s, 500ms, 2m or a bare number of seconds; gives seconds."""

    name = "duration"
    _UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, (int, float)):
            return float(value)
        match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|)", value)
        if match is None:
            self.fail(f"{value!r} is not a duration; write 30s, 500ms or 2m", param, ctx)
        return float(match[1]) * self._UNITS[match[2]]


DURATION: Final = _Duration()

host_option = click.option(
    "--host",
    metavar="URI",
    envvar="XENWIRE_HOST",
    show_envvar=True,
    help="Where domains run: qemu: (plain QEMU, embedded store).",
)

domain_argument = click.argument("domain")


def read_file(path: Path) -> bytes:
    """Read a file that the user named. Raises NotFound, Denied, XenwireError."""
    message = f"cannot read {path}"
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise NotFound(message, reason="it does not exist") from error
    except PermissionError as error:
        raise Denied(message, reason="you may not read it") from error
    except OSError as error:
        raise XenwireError(message, reason=error.strerror) from error
