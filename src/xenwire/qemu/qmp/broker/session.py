"""The server's side of QMP, for one client: bytes to requests, answers to bytes. No I/O.

The facts are those of qemu: monitor/qmp.c (negotiation) and qapi/qmp-dispatch.c (what a request must be).
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple

from xenwire.qemu.qmp.broker.access import Access
from xenwire.qemu.qmp.broker.parser import Fault, Parser
from xenwire.qemu.qmp.session import Event, Version

__all__ = ["Refused", "Request", "ServerSession", "encode_event", "refusal"]

GENERIC: Final = "GenericError"
_NOT_FOUND: Final = "CommandNotFound"
_NO_ID: Final = object()


class Refused(Exception):
    """A request gets an error for its answer."""

    def __init__(self, description: str, error_class: str = GENERIC) -> None:
        super().__init__(description)
        self.description = description
        self.error_class = error_class


class Request(NamedTuple):
    """A command of a client. `id` is any JSON value, `has_id` whether there is one."""

    command: str
    arguments: Mapping[str, Any]
    id: Any
    has_id: bool
    out_of_band: bool

    def success(self, value: Any) -> bytes:
        """Encode what the command returned."""
        return _encode({"return": value} | ({"id": self.id} if self.has_id else {}))

    def failure(self, error: Refused) -> bytes:
        """Encode that it failed."""
        return refusal(error, self.id if self.has_id else _NO_ID)


class ServerSession:
    """What one client says, and what it is told.

    `offered`: capabilities that the client may enable. `access`: which commands are let through.
    """

    def __init__(self, version: Version, offered: Collection[str], access: Access) -> None:
        self._version = version
        self._offered = sorted(offered)
        self._access = access
        self._parser = Parser()
        self.negotiated = False
        """Whether the client takes events, and commands are let through."""
        self._enabled: frozenset[str] = frozenset()

    @property
    def out_of_band(self) -> bool:
        """Whether the client has enabled `oob`."""
        return "oob" in self._enabled

    @property
    def unread(self) -> bool:
        """Whether bytes have come that `next` has not used."""
        return self._parser.unread

    def greeting(self) -> bytes:
        """Encode the greeting: the first thing that a client is told."""
        major, minor, micro, package = self._version
        version = {"qemu": {"micro": micro, "minor": minor, "major": major}, "package": package}
        return _encode({"QMP": {"version": version, "capabilities": self._offered}})

    def feed(self, data: bytes) -> None:
        """Take bytes from the client."""
        self._parser.feed(data)

    def next(self) -> Request | bytes | None:
        """Give the next request; an error to be answered in its turn; None if more bytes are needed."""
        match self._parser.next():
            case None:
                return None
            case Fault(description):
                return refusal(Refused(description))
            case message:
                return self._request(message.value)

    def admit(self, request: Request) -> bytes | None:
        """Answer a request whose turn has come, if it is the session's to answer; None: it is QEMU's.

        Raises Refused.
        """
        negotiates = request.command == "qmp_capabilities"
        if self.negotiated and negotiates:
            raise Refused("Capabilities negotiation is already complete, command ignored", _NOT_FOUND)
        if negotiates:
            self._enabled = self._wanted(request.arguments)
            self.negotiated = True
            return request.success({})
        if not self.negotiated:
            raise Refused("Expecting capabilities negotiation with 'qmp_capabilities'", _NOT_FOUND)
        if not self._access.allows(request.command):
            raise Refused(
                f"The command {request.command} is not allowed here: this socket only lets read",
                _NOT_FOUND,
            )
        return None

    def _request(self, value: Any) -> Request | bytes:
        if not isinstance(value, dict):
            return refusal(Refused("QMP input must be a JSON object"))
        try:
            key = self._check(value)
        except Refused as error:
            return refusal(error, value.get("id", _NO_ID))
        return Request(
            value[key], value.get("arguments", {}), value.get("id"), "id" in value, key == "exec-oob"
        )

    def _check(self, members: Mapping[str, Any]) -> str:
        """Give which member of a request names the command. Raises Refused."""
        key = None
        for name, value in members.items():
            if name == "execute" or (name == "exec-oob" and "oob" in self._enabled):
                if not isinstance(value, str):
                    raise Refused(f"QMP input member '{name}' must be a string")
                if key:
                    raise Refused(f"QMP input member '{name}' clashes with '{key}'")
                key = name
            elif name == "arguments":
                if not isinstance(value, dict):
                    raise Refused("QMP input member 'arguments' must be an object")
            elif name != "id":
                raise Refused(f"QMP input member '{name}' is unexpected")
        if key is None:
            raise Refused("QMP input lacks member 'execute'")
        return key

    def _wanted(self, arguments: Mapping[str, Any]) -> frozenset[str]:
        """Read the arguments of `qmp_capabilities`. Raises Refused."""
        for name in arguments:
            if name != "enable":
                raise Refused(f"Parameter '{name}' is unexpected")
        wanted = arguments.get("enable", [])
        if not isinstance(wanted, list):
            raise Refused("Invalid parameter type for 'enable', expected: array")
        for index, capability in enumerate(wanted):
            if not isinstance(capability, str):
                raise Refused(f"Invalid parameter type for 'enable[{index}]', expected: string")
            if capability not in self._offered:
                raise Refused(f"Parameter 'enable[{index}]' does not accept value '{capability}'")
        return frozenset(wanted)


def refusal(error: Refused, id_: Any = _NO_ID) -> bytes:
    """Encode an error, with the id of the command that it answers if there is one."""
    body = {"error": {"class": error.error_class, "desc": error.description}}
    return _encode(body if id_ is _NO_ID else {"id": id_} | body)


def encode_event(event: Event) -> bytes:
    """Encode an event as QEMU does."""
    seconds = math.floor(event.timestamp)
    microseconds = round((event.timestamp - seconds) * 1_000_000)
    when = {"seconds": seconds, "microseconds": microseconds}
    if event.timestamp < 0:  # QEMU could not tell the time
        when = {"seconds": -1, "microseconds": -1}
    body: dict[str, Any] = {"timestamp": when, "event": event.name}
    return _encode(body | {"data": event.data} if event.data else body)


def _encode(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\r\n"
