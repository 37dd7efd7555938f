"""The daemon's brain: takes a request, gives effects. Opens nothing, awaits nothing, reads no clock."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from xenwire.xenstore.wire import MAX_PAYLOAD, Frame, Op
from xenwire.xenstored import control, domains, nodes, sessions
from xenwire.xenstored.connection import Connection
from xenwire.xenstored.effects import Effect, Reply, error_reply
from xenwire.xenstored.operation import Operation, Request
from xenwire.xenstored.quotas import DEFAULT_QUOTAS, Quotas
from xenwire.xenstored.refusal import Refused
from xenwire.xenstored.store import Store

__all__ = ["Engine"]

_OPERATIONS: Final[Mapping[int, Operation]] = MappingProxyType(
    {
        Op.CONTROL: Operation(control.control, privileged=True),
        Op.DIRECTORY: Operation(nodes.directory),
        Op.READ: Operation(nodes.read),
        Op.GET_PERMS: Operation(nodes.get_perms),
        Op.WATCH: Operation(sessions.watch, ignores_transaction=True),
        Op.UNWATCH: Operation(sessions.unwatch, ignores_transaction=True),
        Op.TRANSACTION_START: Operation(sessions.transaction_start),
        Op.TRANSACTION_END: Operation(sessions.transaction_end),
        Op.INTRODUCE: Operation(domains.introduce, privileged=True),
        Op.RELEASE: Operation(domains.release, privileged=True),
        Op.GET_DOMAIN_PATH: Operation(domains.get_domain_path),
        Op.WRITE: Operation(nodes.write),
        Op.MKDIR: Operation(nodes.mkdir),
        Op.RM: Operation(nodes.rm),
        Op.SET_PERMS: Operation(nodes.set_perms),
        Op.IS_DOMAIN_INTRODUCED: Operation(domains.is_domain_introduced, privileged=True),
        Op.RESUME: Operation(domains.resume, privileged=True),
        Op.SET_TARGET: Operation(domains.set_target, privileged=True),
        Op.RESET_WATCHES: Operation(sessions.reset_watches),
        Op.DIRECTORY_PART: Operation(nodes.directory_part),
        Op.GET_FEATURE: Operation(domains.get_feature),
        Op.SET_FEATURE: Operation(domains.set_feature, privileged=True),
        Op.GET_QUOTA: Operation(domains.get_quota, privileged=True),
        Op.SET_QUOTA: Operation(domains.set_quota, privileged=True),
    }
)


class Engine:
    """A store and the operations on it.

    Rights and quotas do not hold for privileged connections, as those of C xenstored's Unix socket.
    """

    def __init__(self, quotas: Quotas = DEFAULT_QUOTAS) -> None:
        self._store = Store(quotas)

    def connect(self, domid: int = 0, *, privileged: bool | None = None) -> Connection:
        """Add a connection of a domain; unless told otherwise, domain 0 alone is privileged.

        After its domain's release or death a connection is of no use. Raises ValueError for a dead domain.
        """
        return self._store.connect(domid, privileged=domid == 0 if privileged is None else privileged)

    def disconnect(self, connection: Connection) -> None:
        """Forget a connection, its watches, and its transactions: they are aborted."""
        self._store.disconnect(connection)

    def handle(self, connection: Connection, frame: Frame) -> list[Effect]:
        """Carry out one request: the events that it causes, then its reply; a new watch's event comes last.

        What a request is refused for is in the reply. Any exception is a fault of the daemon, and then
        nothing has been changed.
        """
        request = Request(connection, frame.payload, frame.tx_id)
        try:
            payload = self._run(frame.type, request)
        except Refused as refused:
            if refused.name == "ENOSPC" and request.transaction is not None:
                request.transaction.failed = True
            return [*request.before, error_reply(connection, frame, refused.name)]
        reply = Reply(connection, Frame(frame.type, frame.req_id, frame.tx_id, payload))
        return [*request.before, reply, *request.after]

    def shut_down(self, domid: int) -> list[Effect]:
        """Take note that a domain has shut down or crashed; give the events. Told once, until RESUME."""
        return domains.shut_down(self._store, domid)

    def kill(self, domid: int) -> list[Effect]:
        """Take note that a domain is dead, and forget it; give the events.

        No node can be given to it any more until INTRODUCE brings its id back for another domain.
        """
        return domains.kill(self._store, domid)

    def _run(self, type_: int, request: Request) -> bytes:
        operation = _OPERATIONS.get(type_)
        if operation is None:
            raise Refused("ENOSYS")
        if operation.privileged and not request.connection.privileged:
            raise Refused("EACCES")
        if request.tx_id and not operation.ignores_transaction:
            request.transaction = request.connection.transactions.get(request.tx_id)
            if request.transaction is None:
                raise Refused("ENOENT")
        payload = operation.handler(self._store, request)
        if len(payload) > MAX_PAYLOAD:
            raise Refused("E2BIG")
        return payload
