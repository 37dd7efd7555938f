"""One client of the broker: its commands in their order, their answers, what it leaves behind."""

from __future__ import annotations

import logging
import os
import socket
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple, Protocol

from xenwire.errors import XenwireError
from xenwire.qemu.qmp.broker.access import QUERY_CLIENTS, Access, only_reads
from xenwire.qemu.qmp.broker.connection import Connection
from xenwire.qemu.qmp.broker.descriptors import TAKERS, Descriptors
from xenwire.qemu.qmp.broker.session import Refused, Request, ServerSession
from xenwire.qemu.qmp.client import Outcome
from xenwire.qemu.qmp.session import ErrorReply, Reply

__all__ = ["Client", "Owner", "Submit"]

_MAX_QUEUE: Final = 8
"""Commands of a client with `oob` that are read before the first of them is done (qemu: monitor/qmp.c)."""

_log = logging.getLogger(__name__)


class Submit(Protocol):
    """What has commands carried out: `QmpClient.submit`."""

    def __call__(
        self,
        command: str,
        arguments: Mapping[str, Any],
        done: Callable[[Outcome], None],
        /,
        *,
        fds: Sequence[int],
        out_of_band: bool,
    ) -> object:
        """Have a command carried out. Raises XenwireError."""


@dataclass(frozen=True, slots=True)
class Owner:
    """What a client asks of its broker."""

    submit: Submit
    line_up: Callable[[Client], None]
    """Have `carry_out_next` called in its turn."""
    free: Callable[[], None]
    """Its turn is over."""
    forget: Callable[[Client], None]
    """It has ended, and nothing of it is left."""
    clients: Callable[[], Sequence[Mapping[str, Any]]]
    """Tell who is connected."""


class _Job(NamedTuple):
    """A request or an answer in its turn, and the descriptor that came for it."""

    item: Request | bytes
    fd: int | None = None

    def close(self) -> None:
        if self.fd is not None:
            os.close(self.fd)


class Client:
    """A client that has just connected; it owns the socket."""

    def __init__(
        self,
        sock: socket.socket,
        access: Access,
        session: ServerSession,
        descriptors: Descriptors,
        owner: Owner,
    ) -> None:
        self.access = access
        self.connection = Connection(sock, self._received, self._advance, self.end)
        self.peer = self.connection.peer
        self.commands = 0
        """Commands that QEMU carried out, or refused, for it."""
        self.ended = False
        self._session = session
        self._descriptors = descriptors
        self._owner = owner
        self._queue: deque[_Job] = deque()
        self._lined_up = False
        self._aside = 0
        self._advancing = False
        self._said_all = False
        _log.debug("qmp client %s connected, access=%s", self.peer, access)

    def start(self) -> None:
        """Greet it, and listen to it."""
        self.connection.send(self._session.greeting())
        self._advance()

    def tell(self, event: bytes) -> None:
        """Send an encoded event, if it takes events by now."""
        if self._session.negotiated:
            self.connection.send(event)

    def end(self, reason: str) -> None:
        """Leave it. What it left with QEMU is closed in its turn. Safe to repeat."""
        if self.ended:
            return
        self.ended = True
        self.connection.close()
        for job in self._queue:
            job.close()
        self._queue.clear()
        _log.debug("qmp client %s ended: %s", self.peer, reason)
        if not self._lined_up:
            self._clean_up()

    def carry_out_next(self) -> None:
        """Have QEMU carry out the command whose turn it is; the turn ends when it has."""
        if not self._queue:  # it has ended meanwhile
            self._end_turn()
            return
        job = self._queue.popleft()
        assert isinstance(job.item, Request)
        if self.ended:
            self._close(job.item)
        else:
            self._carry_out(job.item, job.fd, partial(self._end_turn, job))

    def _end_turn(self, job: _Job | None = None) -> None:
        if job:
            job.close()
        self._lined_up = False
        self._owner.free()
        self._advance()

    def _end_aside(self) -> None:
        self._aside -= 1
        self._advance()

    def _received(self, data: bytes) -> None:
        self._session.feed(data)
        self._said_all = self._said_all or not data
        self._advance()

    def _advance(self) -> None:
        """Answer what needs no QEMU, line up with what does, and read on as far as that is bounded."""
        if self.ended:
            self._clean_up()
            return
        if self._advancing:  # what was refused at once: the loops below go on
            return
        self._advancing = True
        try:
            room = self._answer_and_line_up()
        finally:
            self._advancing = False
        if self._said_all and not (self._queue or self._aside or self._lined_up or self.connection.backlog):
            self.end("it closed the connection")
        readable = room or not self._session.unread
        self.connection.read(readable and not (self._said_all or self.connection.behind))

    def _answer_and_line_up(self) -> bool:
        """Do so; tell whether there is room for more requests."""
        room = self._fill()
        while self._queue and not (self._lined_up or self.connection.behind or self.ended):
            if (answer := self._answer(self._queue[0].item)) is None:
                self._lined_up = True
                self._owner.line_up(self)
            else:
                self._queue.popleft().close()
                self.connection.send(answer)
            room = self._fill()
        return room

    def _fill(self) -> bool:
        """Read requests ahead, one without `oob`; tell whether there is room for more than have come."""
        limit = _MAX_QUEUE if self._session.out_of_band else 1
        while not self.ended and len(self._queue) + self._aside + self._lined_up < limit:
            if (item := self._session.next()) is None:
                return True
            if isinstance(item, Request) and item.out_of_band:
                self._aside += 1
                self._carry_out(item, None, self._end_aside)
            elif isinstance(item, Request) and item.command in TAKERS:
                self._queue.append(_Job(item, self.connection.take_fd()))
            else:
                self._queue.append(_Job(item))
        return False

    def _answer(self, item: Request | bytes) -> bytes | None:
        """Give the answer to what is not QEMU's to answer."""
        if isinstance(item, bytes):
            return item
        try:
            return self._admit(item)
        except Refused as error:
            if not self.access.allows(item.command):
                self._record(item, "refused")
            return item.failure(error)

    def _admit(self, request: Request) -> bytes | None:
        """Answer a request that is the session's or the broker's to answer; None: it is QEMU's.

        Raises Refused.
        """
        answer = self._session.admit(request)
        if answer is None and request.command == QUERY_CLIENTS:
            if request.arguments:
                raise Refused(f"Parameter '{next(iter(request.arguments))}' is unexpected")
            return request.success(self._owner.clients())
        return answer

    def _carry_out(self, request: Request, fd: int | None, finished: Callable[[], None]) -> None:
        """Have QEMU carry a command out, answer it, and call `finished`."""
        try:
            if request.out_of_band and (answer := self._admit(request)) is not None:
                self.connection.send(answer)
                finished()
                return
            arguments = self._descriptors.translate(request.command, request.arguments)
            if request.command in TAKERS and fd is None:
                # QEMU would take one that came with a command which it refused before it looked for it.
                raise Refused("No file descriptor supplied via SCM_RIGHTS")
            self._owner.submit(
                request.command,
                arguments,
                partial(self._carried_out, request, arguments, finished),
                fds=[] if fd is None else [fd],
                out_of_band=request.out_of_band,
            )
        except Refused as error:
            self._tell(request, error)
            finished()
        except XenwireError as error:
            self._tell(request, Refused(str(error)))
            finished()

    def _carried_out(
        self, request: Request, arguments: Mapping[str, Any], finished: Callable[[], None], outcome: Outcome
    ) -> None:
        match outcome:
            case Reply(_, value):
                self.commands += 1
                self._record(request, "ok")
                result = self._descriptors.note(request.command, arguments, value)
                self.connection.send(request.success(result))
            case ErrorReply(_, error_class, description):
                self.commands += 1
                self._tell(request, Refused(self._descriptors.own_words(description), error_class))
            case error:
                self.end(str(error))
        finished()

    def _tell(self, request: Request, error: Refused) -> None:
        self._record(request, error.error_class)
        self.connection.send(request.failure(error))

    def _record(self, request: Request, outcome: str) -> None:
        """Tell who may have changed something. Arguments are left out: there are passwords among them."""
        if not only_reads(request.command):
            who, command = self.peer, request.command
            _log.info("qmp client %s access=%s command=%.60r %s", who, self.access, command, outcome)

    def _close(self, request: Request) -> None:
        """Close what it left."""

        def done(outcome: Outcome) -> None:
            if not isinstance(outcome, Reply):
                _log.debug("%s of a client that has ended: %s", request.command, outcome)
            self._end_turn()

        try:
            self._owner.submit(request.command, request.arguments, done, fds=[], out_of_band=False)
        except XenwireError:
            self._end_turn()

    def _clean_up(self) -> None:
        """Line up with what closes what it left; once nothing is left it is forgotten."""
        if self._lined_up:
            return
        self._queue.extend(
            _Job(Request(command, arguments, None, False, False))
            for command, arguments in self._descriptors.leftovers()
        )
        if self._queue:
            self._lined_up = True
            self._owner.line_up(self)
        elif not self._aside:
            self._owner.forget(self)
