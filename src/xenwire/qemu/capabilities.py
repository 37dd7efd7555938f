"""What a QEMU can do: asked of it once, and remembered as long as it is the same."""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from xenwire.errors import ProtocolError, TimedOut, Unreachable, XenwireError
from xenwire.qemu.process import Qemu
from xenwire.qemu.qmp.session import Version
from xenwire.runtime.files import write_atomic
from xenwire.runtime.places import run_dir

__all__ = ["OLDEST", "Capabilities", "capabilities", "probe"]

_log = logging.getLogger(__name__)

OLDEST: Final = (7, 0)
"""The oldest QEMU that is known to do; Debian 12 has 7.2."""

_FORMAT: Final = 2
"""Of what is remembered: it counts up when that changes."""
_PROBE_ARGUMENTS: Final = ("-machine", "none", "-nodefaults", "-no-user-config", "-display", "none")


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a QEMU program says of itself."""

    version: Version
    devices: frozenset[str]
    """The device types that it has, for `-device` and for its machines."""
    commands: frozenset[str]
    """The QMP commands that it knows."""
    options: frozenset[str]
    """Those of its command line that it tells of by QMP, without the dash: `option`, `option.parameter`."""

    def require_recent(self, program: Path) -> None:
        """Raise XenwireError if it is older than what is known to do."""
        if self.version[:2] < OLDEST:
            raise XenwireError(
                f"{program} is too old",
                reason=f"it is QEMU {self.version}, and {OLDEST[0]}.{OLDEST[1]} is needed",
                hint="install a newer one, and name it in XENWIRE_QEMU",
            )


async def capabilities(program: Path, *, user: str | None = None, timeout: float = 10.0) -> Capabilities:
    """Give what `probe` found when this very program was last asked in this run folder, else ask it.

    A script is asked each time: what it starts may have changed. Arguments and errors: see `probe`.
    """
    known = _known(program)
    if known is not None:
        try:
            fields = json.loads(known.read_bytes())
            return Capabilities(
                Version(*fields["version"]),
                *(frozenset(fields[key]) for key in ("devices", "commands", "options")),
            )
        except (OSError, ValueError, KeyError):
            pass  # not asked yet, or not readable: ask
    found = await probe(program, user=user, timeout=timeout)
    if known is not None:
        fields = {
            "version": found.version,
            "devices": [*found.devices],
            "commands": [*found.commands],
            "options": [*found.options],
        }
        try:
            write_atomic(known, json.dumps(fields).encode(), 0o600)
        except OSError as error:
            _log.warning("cannot remember what %s can do: %s", program, error)
    return found


def _known(program: Path) -> Path | None:
    """Give the file of what is known of a program; none for a script.

    Its name tells a program from its later versions, and from itself with other modules.
    """
    modules = [*program.parent.parent.glob("lib/qemu"), *program.parent.parent.glob("lib/*-linux-gnu/qemu")]
    with program.open("rb") as file:
        if file.read(2) == b"#!":
            return None
    stats = [path.stat() for path in (program, *sorted(modules))]
    identity = [_FORMAT, str(program), *((s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns) for s in stats)]
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
    return run_dir() / f"qemu-{digest[:16]}.json"


async def probe(program: Path, *, user: str | None = None, timeout: float = 10.0) -> Capabilities:
    """Ask a QEMU program, started without a machine for the purpose, what it can do; about 0.1 s.

    `user` and errors: see `Qemu.start`. `timeout`, in seconds, is for the start and for each answer.
    """
    with tempfile.TemporaryDirectory(prefix="xenwire-") as folder:
        log = Path(folder) / "probe.log"
        try:
            qemu = await Qemu.start(program, _PROBE_ARGUMENTS, log=log, user=user, timeout=timeout)
        except XenwireError as error:
            # Its log, which the hint names, goes with this folder.
            if error.context.get("status") is not None or isinstance(error, (TimedOut, Unreachable)):
                error.hint = f"see what it says: {program} {' '.join(_PROBE_ARGUMENTS)}"
            raise
        async with qemu:
            ask = qemu.qmp.execute
            types = await ask("qom-list-types", implements="device", timeout=timeout)
            commands = await ask("query-commands", timeout=timeout)
            options = await ask("query-command-line-options", timeout=timeout)
            try:
                return Capabilities(qemu.qmp.version, _names(types), _names(commands), _options(options))
            except (TypeError, KeyError) as error:
                raise ProtocolError("QEMU listed its abilities in no known form") from error


def _names(entries: Any) -> frozenset[str]:
    return frozenset(str(entry["name"]) for entry in entries)


def _options(entries: Any) -> frozenset[str]:
    names = {entry["option"]: entry["parameters"] for entry in entries}
    parameters = {f"{name}.{known['name']}" for name, known_ones in names.items() for known in known_ones}
    return frozenset(names) | parameters
