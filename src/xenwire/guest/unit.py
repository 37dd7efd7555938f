"""Unit files: which program serves the channel of a name. Pure, but for `read_units`.

# org.example.agent.0.unit
program = /usr/sbin/example-agent
arguments = --verbose
user = nobody
restart = on-failure
"""

from __future__ import annotations

import enum
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from xenwire.errors import UsageError, XenwireError
from xenwire.guest.channel import Transport
from xenwire.types import ChannelName

__all__ = ["Restart", "Unit", "parse_unit", "read_units"]

_LIMIT: Final = 65536  # bytes of a unit file
_SUFFIX: Final = ".unit"
_KEYS: Final = ("program", "arguments", "user", "restart", "stdio")


class Restart(enum.StrEnum):
    """When a program that has ended is started again, while its channel is there."""

    ALWAYS = "always"
    ON_FAILURE = "on-failure"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Unit:
    """What to start for a channel."""

    program: str
    arguments: tuple[str, ...] = ()
    user: str | None = None
    """A name or `uid:gid`; None is ours."""
    restart: Restart = Restart.ALWAYS
    stdio: bool = True
    """Whether the channel is its stdin and stdout; else it opens the device itself."""

    def command(self, name: str, device: Path, transport: Transport) -> list[str]:
        """Give its command line: %d stands for the device, %n for the name, %k for pv or virtio, %% for %."""
        words = {"d": str(device), "n": name, "k": str(transport), "%": "%"}
        return [self.program, *(_expand(argument, words) for argument in self.arguments)]


def parse_unit(text: str, where: str) -> Unit:
    """Read a unit file: lines `key = value`, empty lines, and comments after `#` at a line's beginning.

    Raises UsageError, which names `where` and the line.
    """
    values: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        key, equals, value = (part.strip() for part in line.partition("="))
        if not equals or key not in _KEYS:
            known = f"known are {', '.join(_KEYS)}"
            raise _wrong(f"{where}:{number}", f"not a setting: {line.strip()!r}", known)
        if key in values:
            raise _wrong(f"{where}:{number}", f"{key} is set twice")
        values[key] = value
    program = values.get("program", "")
    if not program.startswith("/"):
        raise _wrong(where, f"the program is {program!r}", "give its full path: program = /usr/bin/…")
    restart = values.get("restart", Restart.ALWAYS)
    if restart not in list(Restart):
        raise _wrong(where, f"restart is {restart!r}", f"choose one of {', '.join(Restart)}")
    stdio = values.get("stdio", "yes")
    if stdio not in ("yes", "no"):
        raise _wrong(where, f"stdio is {stdio!r}", "choose yes or no")
    try:
        arguments = tuple(shlex.split(values.get("arguments", "")))
        for argument in arguments:
            _expand(argument, dict.fromkeys("dnk%", ""))
    except ValueError as error:
        raise _wrong(where, f"arguments: {error}") from error
    return Unit(program, arguments, values.get("user") or None, Restart(restart), stdio == "yes")


def read_units(folder: Path) -> tuple[dict[str, Unit], list[XenwireError]]:
    """Give the units of a folder by the names of their channels, and what is wrong with others.

    A folder that is not there has none.
    """
    units: dict[str, Unit] = {}
    errors: list[XenwireError] = []
    try:
        paths = sorted(path for path in folder.iterdir() if path.name.endswith(_SUFFIX))
    except FileNotFoundError:
        paths = []
    except OSError as error:
        return {}, [XenwireError(f"cannot read the folder {folder}", reason=error.strerror)]
    for path in paths:
        try:
            units[ChannelName(path.name.removesuffix(_SUFFIX))] = parse_unit(_read(path), str(path))
        except XenwireError as error:
            errors.append(error)
    return units, errors


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_LIMIT + 1)
        if len(data) > _LIMIT:
            raise _wrong(str(path), f"it has more than {_LIMIT} bytes")
        return data.decode()
    except UnicodeDecodeError as error:
        raise _wrong(str(path), "it is not UTF-8") from error
    except OSError as error:
        raise XenwireError(f"cannot read {path}", reason=error.strerror) from error


def _expand(argument: str, words: dict[str, str]) -> str:
    """Replace each %x. Raises ValueError for one that is not among `words`."""
    parts = iter(argument)
    expanded = []
    for part in parts:
        if part == "%":
            letter = next(parts, "")
            if letter not in words:
                raise ValueError(f"%{letter} means nothing; write %% for a percent sign")
            part = words[letter]
        expanded.append(part)
    return "".join(expanded)


def _wrong(where: str, reason: str, hint: str | None = None) -> UsageError:
    return UsageError(f"cannot use the unit file {where}", reason=reason, hint=hint)
