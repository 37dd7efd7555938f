"""The operations on what a connection has open: watches and transactions."""

from __future__ import annotations

from xenwire.xenstore.wire import join
from xenwire.xenstored import requests
from xenwire.xenstored.connection import WATCH_DEPTH
from xenwire.xenstored.operation import OK, Request
from xenwire.xenstored.quotas import exceeds
from xenwire.xenstored.refusal import Refused
from xenwire.xenstored.store import Store, event
from xenwire.xenstored.transaction import Transaction

__all__ = ["reset_watches", "transaction_end", "transaction_start", "unwatch", "watch"]


def watch(store: Store, request: Request) -> bytes:
    """WATCH: events for a path from now on, a first one at once, right after the reply."""
    connection = request.connection
    most = 3 if connection.domain.features & WATCH_DEPTH else 2
    text, token, *levels = requests.strings(request.payload, 2, most)
    depth = requests.number(levels[0]) if levels else None
    path = requests.canonical(text, connection, special=True)
    if (path, token) in connection.watches:
        raise Refused("EEXIST")
    if exceeds(connection.quotas.watches, len(connection.watches) + 1):
        raise Refused("ENOSPC")
    prefix = len(path) - len(text)
    added = store.watches.add(connection, path, token, depth=depth, prefix=prefix)
    request.after += event(added, path, mergeable=False)
    return OK


def unwatch(store: Store, request: Request) -> bytes:
    """UNWATCH: no new events; those on their way still come."""
    text, token = requests.strings(request.payload, 2, 2)
    path = requests.canonical(text, request.connection, special=True)
    if (path, token) not in request.connection.watches:
        raise Refused("ENOENT")
    store.watches.remove(request.connection, path, token)
    return OK


def reset_watches(store: Store, request: Request) -> bytes:
    """RESET_WATCHES: the connection forgets its watches and its transactions."""
    store.reset(request.connection)
    return OK


def transaction_start(store: Store, request: Request) -> bytes:
    """TRANSACTION_START: the id of a new transaction, which sees the tree as it is now."""
    connection = request.connection
    if request.transaction is not None:
        raise Refused("EBUSY")
    if exceeds(connection.quotas.transactions, len(connection.transactions) + 1):
        raise Refused("ENOSPC")
    return join(str(connection.open(Transaction(store.tree, connection.quotas.transaction_nodes))))


def transaction_end(store: Store, request: Request) -> bytes:
    """TRANSACTION_END: commit or abort. However it ends, the id is used up."""
    connection = request.connection
    if request.payload not in (b"T\0", b"F\0"):
        raise Refused("EINVAL")
    if request.transaction is None:
        raise Refused("ENOENT")
    del connection.transactions[request.tx_id]
    if request.payload == b"T\0":
        tree = request.transaction.commit(store.tree)
        owned = tree.owned(connection.domid)
        if owned > store.tree.owned(connection.domid) and exceeds(connection.quotas.nodes, owned):
            raise Refused("ENOSPC")
        request.before += store.events(request.transaction.changes)
        store.tree = tree
    return OK
