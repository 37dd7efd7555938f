"""The errors that callers tell apart.

Each says three things: what failed (`message`), why, with the object named (`reason`), and what to try
next (`hint`). `code` and `exit_status` are stable: scripts rely on them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

__all__ = [
    "Conflict",
    "Denied",
    "NotFound",
    "ProtocolError",
    "TimedOut",
    "Unreachable",
    "UsageError",
    "XenwireError",
]


class XenwireError(Exception):
    """Something failed. The root of every error that Xenwire raises on purpose.

    `context` holds the data behind the text (paths, ids, seconds) for programs.
    """

    code: ClassVar[str] = "failed"
    exit_status: ClassVar[int] = 1

    def __init__(
        self, message: str, *, reason: str | None = None, hint: str | None = None, **context: Any
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.hint = hint
        self.context = context

    def __str__(self) -> str:
        return f"{self.message}: {self.reason}" if self.reason else self.message

    def as_dict(self) -> dict[str, Any]:
        """Give the fields of the error, to print or to send to another process."""
        return {
            "code": self.code,
            "message": self.message,
            "reason": self.reason,
            "hint": self.hint,
            "context": self.context,
        }

    def as_json(self, longest: int = 3000) -> str:
        """Give `as_dict` as JSON; where that has more than `longest` bytes, what is said is cut.

        A node of the store takes some 4000.
        """
        text = json.dumps(self.as_dict(), default=str)
        if len(text) <= longest:
            return text
        short = {**self.as_dict(), "context": {}}
        for key in ("message", "reason", "hint"):
            short[key] = short[key] and short[key][: longest // 25]  # each may take six bytes
        return json.dumps(short)

    @staticmethod
    def from_dict(fields: Mapping[str, Any]) -> XenwireError:
        """Give the error that another process sent; an unknown code gives a plain XenwireError."""
        group = _GROUPS.get(str(fields.get("code")), XenwireError)
        return group(
            str(fields.get("message")),
            reason=fields.get("reason"),
            hint=fields.get("hint"),
            **dict(fields.get("context") or {}),
        )


class UsageError(XenwireError):
    """What was asked for makes no sense: a bad argument, a bad configuration."""

    code = "usage"
    exit_status = 2


class NotFound(XenwireError):
    """The thing named does not exist."""

    code = "not-found"
    exit_status = 3


class Denied(XenwireError):
    """Refused by permission."""

    code = "denied"
    exit_status = 4


class TimedOut(XenwireError):
    """A deadline passed. The message says what was waited for, and how long."""

    code = "timed-out"
    exit_status = 5


class Conflict(XenwireError):
    """Something is in the way: a name in use, a path already listened on, a lock held."""

    code = "conflict"
    exit_status = 6


class Unreachable(XenwireError):
    """A daemon or peer cannot be reached, or went away."""

    code = "unreachable"
    exit_status = 7


class ProtocolError(XenwireError):
    """A peer broke the protocol."""

    code = "protocol"
    exit_status = 8


_GROUPS = {
    group.code: group
    for group in (UsageError, NotFound, Denied, TimedOut, Conflict, Unreachable, ProtocolError)
}
