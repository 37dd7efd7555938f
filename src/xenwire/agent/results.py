"""What a guest agent returns, as typed values. Every field is checked: a guest may send anything.

Sources: QEMU's qga/qapi-schema.json. Unknown members are ignored, as newer agents add some.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any, TypeVar

from xenwire.agent.protocol import is_text, printable
from xenwire.errors import ProtocolError

__all__ = [
    "ExecResult",
    "GuestInfo",
    "read_commands",
    "read_exec_status",
    "read_info",
    "read_pid",
]

_T = TypeVar("_T", str, int, bool)


@dataclass(frozen=True, slots=True)
class GuestInfo:
    """An agent and its guest. What the guest does not tell is None; texts are safe to print."""

    version: str
    """The agent's own."""
    commands: tuple[str, ...]
    """The names of the commands that are enabled, sorted."""
    os_id: str | None
    """As in os-release(5), and so the next three."""
    os_name: str | None
    os_pretty_name: str | None
    os_version: str | None
    kernel_release: str | None
    kernel_version: str | None
    machine: str | None
    host_name: str | None
    time_ns: int | None
    """The guest's clock: nanoseconds since 1970, UTC."""


@dataclass(frozen=True, slots=True)
class ExecResult:
    """How a command in the guest ended: either `status` or `signal` is set."""

    status: int | None
    signal: int | None
    stdout: bytes
    stderr: bytes
    stdout_truncated: bool
    """Whether there was more than the agent captures (16 MiB)."""
    stderr_truncated: bool


def read_commands(value: Any) -> tuple[str, tuple[str, ...]]:
    """Give version and enabled commands from what `guest-info` returned. Raises ProtocolError."""
    fields = _Fields(value, "guest-info")
    commands = fields.value.get("supported_commands")
    if not isinstance(commands, list):
        raise fields.wrong("supported_commands")
    names: list[str] = []
    for each in commands:
        command = _Fields(each, "guest-info")
        if command.need("enabled", bool):
            names.append(printable(command.need("name", str)))
    return printable(fields.need("version", str)), tuple(sorted(names))


def read_info(version: str, commands: tuple[str, ...], *, system: Any, host: Any, time: Any) -> GuestInfo:
    """Read what `guest-get-osinfo`, `guest-get-host-name` and `guest-get-time` returned; None: nothing.

    Raises ProtocolError.
    """
    os = _Fields({} if system is None else system, "guest-get-osinfo")
    return GuestInfo(
        version=version,
        commands=commands,
        os_id=os.label("id"),
        os_name=os.label("name"),
        os_pretty_name=os.label("pretty-name"),
        os_version=os.label("version"),
        kernel_release=os.label("kernel-release"),
        kernel_version=os.label("kernel-version"),
        machine=os.label("machine"),
        host_name=_Fields({} if host is None else host, "guest-get-host-name").label("host-name"),
        time_ns=_Fields({"return": time}, "guest-get-time").take("return", int),
    )


def read_pid(value: Any) -> int:
    """Read what `guest-exec` returned. Raises ProtocolError."""
    return _Fields(value, "guest-exec").need("pid", int)


def read_exec_status(value: Any) -> ExecResult | None:
    """Read what `guest-exec-status` returned; None: the command still runs. Raises ProtocolError."""
    fields = _Fields(value, "guest-exec-status")
    if not fields.need("exited", bool):
        return None
    status, signal = fields.take("exitcode", int), fields.take("signal", int)
    if (status is None) == (signal is None):
        raise ProtocolError(
            "the guest agent does not tell how the command ended",
            reason="its reply to guest-exec-status has not one of exitcode and signal",
        )
    return ExecResult(
        status=status,
        signal=signal,
        stdout=fields.data("out-data"),
        stderr=fields.data("err-data"),
        stdout_truncated=fields.take("out-truncated", bool) or False,
        stderr_truncated=fields.take("err-truncated", bool) or False,
    )


class _Fields:
    """The members of an object that `command` returned."""

    def __init__(self, value: Any, command: str) -> None:
        if not isinstance(value, dict):
            raise ProtocolError(f"the guest agent's reply to {command} is of the wrong type")
        self.value = value
        self._command = command

    def take(self, name: str, kind: type[_T]) -> _T | None:
        """Give a member of exactly this type (True is no number, and a number has 64 bits), or None."""
        value = self.value.get(name)
        if value is None:
            return None
        if type(value) is not kind:
            raise self.wrong(name)
        if isinstance(value, str) and not is_text(value):
            raise self.wrong(name)
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise self.wrong(name)
        return value

    def need(self, name: str, kind: type[_T]) -> _T:
        """Give a member that has to be there."""
        value = self.take(name, kind)
        if value is None:
            raise self.wrong(name)
        return value

    def label(self, name: str) -> str | None:
        """Give a short text as it can be printed, None if it is not there."""
        text = self.take(name, str)
        return None if text is None else printable(text)

    def data(self, name: str) -> bytes:
        """Give the bytes of a member in base64, none if it is not there."""
        try:
            return base64.b64decode(self.take(name, str) or "", validate=True)
        except ValueError as error:
            raise self.wrong(name) from error

    def wrong(self, name: str) -> ProtocolError:
        """Give the error for a member that is missing or has a wrong value."""
        return ProtocolError(
            f"the guest agent's reply to {self._command} is malformed",
            reason=f"{name} is missing or of the wrong type",
        )
