"""What goes wrong between a client and the store: error replies, and a connection that ended.

An error reply carries the *name* of an errno. `ENOENT`, say, becomes `StoreNotFound`, which is also
`xenwire.errors.NotFound`; the name itself stays in `StoreError.name`, whatever a daemon sends.
"""

from __future__ import annotations

import os
from typing import Final, Self

from xenwire.errors import Conflict, Denied, NotFound, Unreachable, UsageError, XenwireError
from xenwire.xenstore.wire import ERROR_NAMES, Op, error_number

__all__ = [
    "InvalidRequest",
    "StoreClosed",
    "StoreConflict",
    "StoreDenied",
    "StoreError",
    "StoreNotFound",
    "TransactionConflict",
    "store_error",
]


class StoreError(XenwireError):
    """The store refused a request.

    `name` is the error's name on the wire (`"ENOENT"`), `op` the operation, `subject` what it was about:
    a path, `domain N`, or empty.
    """

    def __init__(self, name: str, op: Op, subject: str) -> None:
        # Older daemons say of a domain's watch too many what they say of a message too long.
        of_watches = name == "E2BIG" and op is Op.WATCH
        reason, hint = _TEXTS.get("ENOSPC" if of_watches else name, (None, None))
        if reason is None:
            reason = os.strerror(error_number(name)) if name in ERROR_NAMES else "an error of its own"
        super().__init__(
            f"cannot {_VERBS.get(op, op.name)} {subject}".rstrip(),
            reason=f"{reason} ({name})",
            hint=hint,
            name=name,
            op=op.name,
            subject=subject,
        )
        self.name = name
        self.op = op
        self.subject = subject


class StoreNotFound(StoreError, NotFound):
    """ENOENT: no such node, domain, watch or transaction."""


class StoreDenied(StoreError, Denied):
    """EACCES or EPERM: the node's permissions, or a lack of privilege."""


class StoreConflict(StoreError, Conflict):
    """EEXIST, EBUSY or EISCONN: it is there already, or in use."""


class TransactionConflict(StoreConflict):
    """EAGAIN: another client changed what the transaction touched. Nothing was written; repeat it."""


class InvalidRequest(StoreError, UsageError):
    """EINVAL: a path, permission or argument that the store does not take."""


class StoreClosed(Unreachable):
    """The connection to the store has ended; `__cause__` is the reason, if there was one.

    Open transactions are aborted and watches are gone. Whether a request without a reply was carried
    out is unknown.
    """

    @classmethod
    def by(cls, cause: BaseException | None) -> Self:
        """Give a new error for a connection that `cause` ended; None stands for the daemon hanging up."""
        error = cls(
            "the connection to the store is closed",
            reason=str(cause) if cause else "the daemon hung up",
            hint="connect again; what was watched must be read afresh",
        )
        error.__cause__ = cause
        return error


def store_error(name: str, op: Op, subject: str) -> StoreError:
    """Give the error of the class that belongs to `name`; a plain StoreError where none does."""
    return _CLASSES.get(name, StoreError)(name, op, subject)


_CLASSES: Final[dict[str, type[StoreError]]] = {
    "EACCES": StoreDenied,
    "EAGAIN": TransactionConflict,
    "EBUSY": StoreConflict,
    "EEXIST": StoreConflict,
    "EINVAL": InvalidRequest,
    "EISCONN": StoreConflict,
    "ENOENT": StoreNotFound,
    "EPERM": StoreDenied,
}

_TEXTS: Final[dict[str, tuple[str, str | None]]] = {
    "E2BIG": ("it does not fit in one message", None),
    "EACCES": ("permission denied", "the node's owner and dom0 can change its permissions"),
    "EAGAIN": ("another client changed what the transaction touched", "repeat the transaction"),
    "EINVAL": ("an invalid path or argument", None),
    "ENOENT": ("it does not exist", None),
    "ENOSPC": ("a quota of the domain is used up", "remove nodes, watches or transactions first"),
    "ENOSYS": ("this daemon does not know the operation", None),
}

_VERBS: Final[dict[Op, str]] = {
    Op.CONTROL: "carry out the command",
    Op.DIRECTORY: "list",
    Op.DIRECTORY_PART: "list",
    Op.GET_DOMAIN_PATH: "tell the home of",
    Op.GET_PERMS: "tell the permissions of",
    Op.INTRODUCE: "introduce",
    Op.IS_DOMAIN_INTRODUCED: "tell whether it knows",
    Op.MKDIR: "make",
    Op.READ: "read",
    Op.RELEASE: "release",
    Op.RM: "remove",
    Op.SET_PERMS: "set the permissions of",
    Op.TRANSACTION_END: "end a transaction",
    Op.TRANSACTION_START: "start a transaction",
    Op.UNWATCH: "stop watching",
    Op.WATCH: "watch",
    Op.WRITE: "write",
}
