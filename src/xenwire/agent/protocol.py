"""The wire format of a guest agent (QEMU: docs/interop/qemu-ga.rst): a JSON object a line, each way.

A client that lost step sends a byte 0xFF, which makes the agent forget a half-read request, and the request
`guest-sync-delimited` with an id; the agent answers with 0xFF and that id. Whatever came before is old.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from xenwire.errors import ProtocolError, XenwireError

__all__ = [
    "MAX_OUTPUT",
    "MAX_REPLY",
    "AgentError",
    "Decoder",
    "encode",
    "encode_sync",
    "is_text",
    "parse",
    "printable",
]

MAX_OUTPUT: Final = 16 << 20
"""Bytes: an agent captures this much of a command's output, and as much of its errors (qemu-ga)."""
MAX_REPLY: Final = 2 * (MAX_OUTPUT + 2) // 3 * 4 + (1 << 16)
"""Bytes: the longest reply has both of them in base64."""

_SENTINEL: Final = b"\xff"
_MAX_PARTS: Final = 10_000
"""Members and elements of a reply (`guest-info` has 300): a small text shall not become many objects."""


class AgentError(XenwireError):
    """The agent refused a command, or could not carry it out.

    `error_class` and `description` are the agent's own words: a guest may write anything there.
    """

    code: ClassVar[str] = "agent"

    def __init__(self, command: str, error_class: str, description: str) -> None:
        super().__init__(
            f"the guest agent cannot do {command}",
            reason=printable(description),
            command=command,
            error_class=error_class,
        )
        self.error_class = error_class
        self.description = description


class Decoder:
    """Takes a stream of bytes apart into lines. While `hunting`, it throws away all up to the next 0xFF."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._hunting = True

    @property
    def hunting(self) -> bool:
        """Whether the stream is out of step: the next line is not known to be the next reply."""
        return self._hunting

    def hunt(self) -> None:
        """Forget what was received, up to the next 0xFF."""
        self._hunting = True
        self._find_sentinel()

    def feed(self, data: bytes) -> None:
        """Add received bytes."""
        self._buffer += data
        if self._hunting:
            self._find_sentinel()

    def next_line(self, limit: int) -> bytes | None:
        """Give the next line without its end, or None: more bytes are needed. Empty lines are left out.

        Raises ProtocolError if the line is longer than `limit` bytes.
        """
        while not self._hunting:
            end = self._buffer.find(b"\n", self._searched)
            if (end if end >= 0 else len(self._buffer)) > limit:
                raise ProtocolError("the guest agent's reply is too long", reason=f"over {limit} bytes")
            if end < 0:
                self._searched = len(self._buffer)
                return None
            line = bytes(self._buffer[:end]).strip(b" \t\r")
            self._drop(end + 1)
            if line:
                return line
        return None

    def _find_sentinel(self) -> None:
        place = self._buffer.find(_SENTINEL)
        self._hunting = place < 0
        self._drop(len(self._buffer) if place < 0 else place + 1)

    def _drop(self, count: int) -> None:
        del self._buffer[:count]
        self._searched = 0


def encode(command: str, arguments: Mapping[str, Any] | None = None) -> bytes:
    """Give the bytes of a request."""
    request: dict[str, Any] = {"execute": command}
    if arguments:
        request["arguments"] = arguments
    return json.dumps(request).encode("ascii") + b"\n"


def encode_sync(sync_id: int) -> bytes:
    """Give the bytes that bring an agent back into step. Its reply is 0xFF, then `sync_id`."""
    return _SENTINEL + encode("guest-sync-delimited", {"id": sync_id})


def parse(line: bytes, command: str) -> Any:
    """Give what a reply to `command` returns.

    Raises AgentError if it is an error, ProtocolError if it is no reply at all.
    """
    reply = _object(line, command)
    if "error" in reply:
        error = reply["error"]
        if isinstance(error, dict):
            error_class, description = error.get("class"), error.get("desc")
            if isinstance(error_class, str) and isinstance(description, str):
                raise AgentError(command, error_class, description)
    elif "return" in reply:
        return reply["return"]
    raise ProtocolError(f"the guest agent's reply to {command} is no reply", reason=_excerpt(line))


def is_text(text: str) -> bool:
    """Tell whether a string can be written as UTF-8: it has no surrogates, which JSON can smuggle in."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def printable(text: str, limit: int = 200) -> str:
    """Give a guest's words as they can be printed: no control characters, and not too many."""
    cut = text if len(text) <= limit else f"{text[: limit - 1]}…"
    if cut.isprintable():
        return cut
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in cut)


def _object(line: bytes, command: str) -> dict[str, Any]:
    if sum(line.count(mark) for mark in (b",", b"[", b"{")) > _MAX_PARTS:
        raise ProtocolError(f"the guest agent's reply to {command} has too many parts")
    try:
        reply = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ProtocolError(
            f"the guest agent's reply to {command} is no JSON", reason=_excerpt(line)
        ) from error
    if not isinstance(reply, dict):
        raise ProtocolError(f"the guest agent's reply to {command} is no object", reason=_excerpt(line))
    return reply


def _excerpt(line: bytes) -> str:
    return printable(line[:400].decode("utf-8", "replace"), 100)
