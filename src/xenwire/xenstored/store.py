"""The state of the store: its tree, the domains, their connections and watches, and who hears of what."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Final

from xenwire.types import MAX_DOMID
from xenwire.xenstore.wire import MAX_PAYLOAD, Frame, Op
from xenwire.xenstored.connection import Connection, Domain
from xenwire.xenstored.effects import Event
from xenwire.xenstored.quotas import DEFAULT_QUOTAS, Quotas
from xenwire.xenstored.transaction import Change
from xenwire.xenstored.tree import Tree
from xenwire.xenstored.watches import Watch, WatchIndex

__all__ = ["PRIVILEGED_DOMID", "Store", "event"]

PRIVILEGED_DOMID: Final = 0


class Store:
    """Everything the daemon knows. Pure: events are given back as values.

    Nobody can say which domains exist, so every domain id does until `domains.kill` says otherwise.
    """

    def __init__(self, quotas: Quotas = DEFAULT_QUOTAS) -> None:
        self.tree = Tree.initial()
        self.quotas = quotas
        """What domains that are new to the store get."""
        self.watches = WatchIndex()
        self.domains: dict[int, Domain] = {}
        self.dead: set[int] = set()
        self.connections: dict[int, Connection] = {}
        self._numbers = itertools.count()
        self.domain(PRIVILEGED_DOMID).introduced = True

    def domain(self, domid: int) -> Domain:
        """Give the record of a domain, a new one if there is none."""
        if domid not in self.domains:
            self.domains[domid] = Domain(domid, self.quotas)
        return self.domains[domid]

    def exists(self, domid: int) -> bool:
        """Tell whether there is such a domain, as far as anybody can know."""
        return domid <= MAX_DOMID and domid not in self.dead

    def connect(self, domid: int, *, privileged: bool) -> Connection:
        """Add a connection of a domain. Raises ValueError if there can be no such domain."""
        if not self.exists(domid):
            raise ValueError(f"there is no domain {domid}")
        connection = Connection(next(self._numbers), self.domain(domid), privileged=privileged)
        self.connections[connection.number] = connection
        return connection

    def reset(self, connection: Connection) -> None:
        """Forget the watches and transactions of a connection."""
        self.watches.remove_all(connection)
        connection.transactions.clear()

    def disconnect(self, connection: Connection) -> None:
        """Forget a connection."""
        self.reset(connection)
        del self.connections[connection.number]

    def events(self, changes: Iterable[Change]) -> Iterator[Event]:
        """Give the events of changes, for those watchers who may know."""
        for change in changes:
            watches = self.watches.at(change.path) if change.exact else self.watches.covering(change.path)
            readable_by = change.readable_by() if watches else []
            for watch in watches:
                if any(map(watch.connection.may_read, readable_by)):
                    yield from event(watch, change.path)

    def special_events(self, special: str, domid: int) -> Iterator[Event]:
        """Give the events of a special node: of its own name, and with a domain's id below it.

        A watch of some depth hears of the latter only, one without depth of the former (C xenstored 4.22).
        """
        readable_by = [node.permissions for path in (special, "/") if (node := self.tree.find(path))]
        plain = ((watch, special) for watch in self.watches.at(special) if watch.depth is None)
        below = f"{special}/{domid}"
        named = (
            (watch, below)
            for watch in self.watches.covering(below)
            if watch.depth is not None or watch.path == below
        )
        for watch, path in itertools.chain(plain, named):
            if any(map(watch.connection.may_read, readable_by)):
                yield from event(watch, path)


def event(watch: Watch, path: str, *, mergeable: bool = True) -> Iterator[Event]:
    """Give the event that tells a watch's owner of `path`; none if it would be too long for a message.

    Events of special nodes are never merged: each stands for another domain.
    """
    payload = watch.event_path(path).encode() + b"\0" + watch.token + b"\0"
    if len(payload) <= MAX_PAYLOAD:
        frame = Frame(Op.WATCH_EVENT, 0, 0, payload)
        yield Event(watch.connection, frame, mergeable and path[0] != "@")
