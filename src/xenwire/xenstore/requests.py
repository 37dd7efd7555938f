"""What a client may ask: a request for each operation, and how to read its reply. Pure.

A function here checks its arguments (UsageError), so that a request which exists is well formed: a path
holds no NUL, a domain id is one. Payloads as in xen: docs/misc/xenstore.txt.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Generic, NamedTuple, TypeVar

from xenwire.errors import NotFound, ProtocolError, TimedOut, UsageError, XenwireError
from xenwire.types import DomId, StorePath
from xenwire.xenstore.errors import store_error
from xenwire.xenstore.perms import Permissions
from xenwire.xenstore.wire import Op, join

__all__ = [
    "PartialListing",
    "Request",
    "control",
    "directory",
    "domain_path",
    "get",
    "get_perms",
    "introduce",
    "is_introduced",
    "mkdir",
    "no_reply",
    "read",
    "read_text",
    "release",
    "rm",
    "set_perms",
    "transaction_end",
    "transaction_start",
    "unwatch",
    "watch",
    "write",
]

T = TypeVar("T")


class Request(NamedTuple, Generic[T]):
    """An operation with its payload; `subject` names in errors what it is about.

    `parse` makes a value of a reply's payload, or raises ProtocolError. `missing_is_none`: T has None, and it
    stands for a node that is not there.
    """

    op: Op
    subject: str
    payload: bytes
    parse: Callable[[bytes], T]
    missing_is_none: bool = False

    def value(self, result: bytes | XenwireError) -> T:
        """Give what a reply's payload means; raise the error that stands in its place."""
        if isinstance(result, XenwireError):
            if self.missing_is_none and isinstance(result, NotFound):
                return None  # type: ignore[return-value]  # T has it
            raise result
        return self.parse(result)


def read(path: StorePath | str) -> Request[bytes]:
    """Ask for a node's value."""
    path = StorePath(path)
    return Request(Op.READ, path, join(path), bytes)


def get(path: StorePath | str) -> Request[bytes | None]:
    """Ask for a node's value; None stands for one that is not there."""
    path = StorePath(path)
    return Request(Op.READ, path, join(path), bytes, missing_is_none=True)


def read_text(path: StorePath | str) -> Request[str]:
    """Ask for a node's value, which must be UTF-8."""
    path = StorePath(path)

    def parse(payload: bytes) -> str:
        try:
            return payload.decode()
        except UnicodeDecodeError as error:
            raise ProtocolError(
                f"the value of {path} is not text", reason=f"it begins with {payload[:40]!r}", path=path
            ) from error

    return Request(Op.READ, path, join(path), parse)


def directory(path: StorePath | str) -> Request[list[str]]:
    """Ask for the names of a node's children."""
    path = StorePath(path)
    return Request(Op.DIRECTORY, path, join(path), _strings)


def write(path: StorePath | str, value: bytes | str) -> Request[None]:
    """Set a node's value; text goes as UTF-8. Makes the node and its ancestors where they are missing."""
    path = StorePath(path)
    value = value.encode() if isinstance(value, str) else value
    return Request(Op.WRITE, path, join(path) + value, _nothing)


def mkdir(path: StorePath | str) -> Request[None]:
    """Make an empty node and its ancestors; nothing happens to one that exists."""
    path = StorePath(path)
    return Request(Op.MKDIR, path, join(path), _nothing)


def rm(path: StorePath | str) -> Request[None]:
    """Remove a node and all below it."""
    path = StorePath(path)
    return Request(Op.RM, path, join(path), _nothing)


def discard(path: StorePath | str) -> Request[None]:
    """Remove a node and all below it, if there is one."""
    return rm(path)._replace(missing_is_none=True)


def get_perms(path: StorePath | str) -> Request[Permissions]:
    """Ask for a node's permissions."""
    path = StorePath(path)
    return Request(Op.GET_PERMS, path, join(path), _permissions)


def set_perms(path: StorePath | str, perms: Permissions) -> Request[None]:
    """Replace a node's permissions."""
    path = StorePath(path)
    return Request(Op.SET_PERMS, path, join(path, *map(str, perms)), _nothing)


def watch(path: StorePath | str, token: str) -> Request[None]:
    """Ask for an event, marked with `token`, whenever `path` or something below it changes."""
    path = StorePath(path)
    return Request(Op.WATCH, path, join(path, token), _nothing)


def unwatch(path: StorePath | str, token: str) -> Request[None]:
    """Take back a `watch`."""
    path = StorePath(path)
    return Request(Op.UNWATCH, path, join(path, token), _nothing)


def transaction_start() -> Request[int]:
    """Ask for the id of a new transaction."""
    return Request(Op.TRANSACTION_START, "", join(""), _transaction_id)


def transaction_end(*, commit: bool) -> Request[None]:
    """Commit or abort the transaction in whose name this is sent (never 0: Linux would lose the reply)."""
    return Request(Op.TRANSACTION_END, "", join("T" if commit else "F"), _nothing)


def domain_path(domid: int) -> Request[StorePath]:
    """Ask for a domain's home; it need not exist."""
    domid = DomId(domid)
    return Request(Op.GET_DOMAIN_PATH, f"domain {domid}", join(str(domid)), _path)


def introduce(domid: int, gfn: int, port: int) -> Request[None]:
    """Tell the store of a domain's ring page (guest frame number) and event channel port."""
    domid = DomId(domid)
    return Request(Op.INTRODUCE, f"domain {domid}", join(str(domid), str(gfn), str(port)), _nothing)


def release(domid: int) -> Request[None]:
    """Have the store forget a domain, as if it had died."""
    domid = DomId(domid)
    return Request(Op.RELEASE, f"domain {domid}", join(str(domid)), _nothing)


def is_introduced(domid: int) -> Request[bool]:
    """Ask whether the store talks to a domain."""
    domid = DomId(domid)
    return Request(Op.IS_DOMAIN_INTRODUCED, f"domain {domid}", join(str(domid)), _truth)


def control(*words: str) -> Request[str]:
    """Have the daemon carry out one of its own commands (`control("help")`); the reply is its text."""
    if not words or any("\0" in word for word in words):
        raise UsageError("not a control command", reason="it is one word or more, without NULs")
    return Request(Op.CONTROL, " ".join(words), join(*words), _text)


def no_reply(request: Request[Any], seconds: float) -> TimedOut:
    """Give the error for a request that was not answered in time."""
    return TimedOut(
        f"no reply from the store to {request.op.name} {request.subject}".rstrip(),
        reason=f"none came in {seconds:g} s",
        op=request.op.name,
        subject=request.subject,
    )


class PartialListing:
    """A listing too long for one reply, asked for in pieces: send `request()`, `add` its reply, until `done`.

    The store gives a generation and as many names as fit from a byte offset on, and one more NUL after
    the last name (xen: docs/misc/xenstore.txt, DIRECTORY_PART). The walk begins anew whenever the
    generation changes.
    """

    MAX_RESTARTS: Final = 64
    """A domain that adds and removes nodes without end must not keep a reader busy without end."""

    def __init__(self, path: StorePath | str) -> None:
        self._path = StorePath(path)
        self._generation = b""
        self._names = b""
        self._restarts = -1  # the first piece counts as one
        self.done = False

    @property
    def names(self) -> list[str]:
        """The names received so far."""
        return _strings(self._names)

    def request(self) -> Request[bytes]:
        """Give the request for the next piece."""
        return Request(Op.DIRECTORY_PART, self._path, join(self._path, str(len(self._names))), bytes)

    def add(self, reply: bytes) -> None:
        """Take the reply to the last request.

        Raises TransactionConflict after too many changes, ProtocolError for a reply without end or names.
        """
        generation, _, piece = reply.partition(b"\0")
        if generation != self._generation:
            self._restarts += 1
            if self._restarts > self.MAX_RESTARTS:
                raise store_error("EAGAIN", Op.DIRECTORY_PART, self._path)
            self._generation = generation
            if self._names:
                self._names = b""
                return
        if not piece.endswith(b"\0"):
            raise _malformed(reply)
        self.done = piece == b"\0" or piece.endswith(b"\0\0")
        self._names += piece[:-1] if self.done else piece


def _malformed(payload: bytes) -> ProtocolError:
    return ProtocolError("the store's reply makes no sense", reason=f"its payload is {payload[:80]!r}")


def _nothing(payload: bytes) -> None:
    """Take the `OK` of a success; daemons have never meant anything by its text."""


def _text(payload: bytes) -> str:
    return payload.removesuffix(b"\0").decode(errors="backslashreplace")


def _strings(payload: bytes) -> list[str]:
    if not payload:
        return []
    if not payload.endswith(b"\0") or not payload.isascii():
        raise _malformed(payload)
    return payload[:-1].decode().split("\0")


def _permissions(payload: bytes) -> Permissions:
    try:
        return Permissions.parse(*_strings(payload))
    except UsageError as error:
        raise _malformed(payload) from error


def _path(payload: bytes) -> StorePath:
    try:
        return StorePath(_text(payload))
    except UsageError as error:
        raise _malformed(payload) from error


def _transaction_id(payload: bytes) -> int:
    text = payload.removesuffix(b"\0")
    if not text.isdigit() or not 0 < int(text) <= 0xFFFF_FFFF:
        raise _malformed(payload)
    return int(text)


def _truth(payload: bytes) -> bool:
    if payload not in (b"T\0", b"F\0"):
        raise _malformed(payload)
    return payload == b"T\0"
