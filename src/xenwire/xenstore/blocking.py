"""The store for programs without an event loop: the same requests as `client`, in one thread.

    with BlockingStore.connect() as store:
        name = store.read_text("/local/domain/3/name")
        with store.transaction() as t:
            t.write("data/a", "1")
            t.write("data/b", "2")
        with store.watch("data") as events:
            for path in events:
                ...

Nothing here may be used by two threads at once, or by a child after fork.
"""

from __future__ import annotations

import abc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from os import PathLike
from typing import Self, TypeVar

from xenwire.errors import NotFound, TimedOut, UsageError, XenwireError
from xenwire.types import StorePath
from xenwire.xenstore import requests
from xenwire.xenstore.errors import StoreError, TransactionConflict
from xenwire.xenstore.events import EventQueue
from xenwire.xenstore.exchange import Exchange
from xenwire.xenstore.perms import Permissions
from xenwire.xenstore.port import open_port
from xenwire.xenstore.requests import PartialListing, Request
from xenwire.xenstore.retry import pause

__all__ = ["BlockingNodes", "BlockingStore", "BlockingTransaction", "BlockingWatch"]

T = TypeVar("T")


class BlockingNodes(abc.ABC):
    """What one may ask of the nodes, in a transaction or not. The errors are those of `client.Nodes`."""

    @abc.abstractmethod
    def _call(self, request: Request[T]) -> T: ...

    def read(self, path: StorePath | str) -> bytes:
        """Give a node's value, every byte of it."""
        return self._call(requests.read(path))

    def read_text(self, path: StorePath | str) -> str:
        """Give a node's value as text. Raises ProtocolError if it is not UTF-8."""
        return self._call(requests.read_text(path))

    def get(self, path: StorePath | str) -> bytes | None:
        """Give a node's value, or None if there is no such node."""
        return self._call(requests.get(path))

    def get_text(self, path: StorePath | str) -> str | None:
        """Give a node's value as text, or None if there is no such node. Raises as read_text."""
        try:
            return self.read_text(path)
        except NotFound:
            return None

    def write(self, path: StorePath | str, value: bytes | str) -> None:
        """Set a node's value, at most some 4000 bytes; text as UTF-8. Missing ancestors are made, empty."""
        self._call(requests.write(path, value))

    def mkdir(self, path: StorePath | str) -> None:
        """Make an empty node, with its ancestors. One that exists keeps its value."""
        self._call(requests.mkdir(path))

    def rm(self, path: StorePath | str) -> None:
        """Remove a node and all below it. No such node is fine, no parent either is StoreNotFound."""
        self._call(requests.rm(path))

    def list(self, path: StorePath | str) -> list[str]:
        """Give the names of a node's children, however many."""
        try:
            return self._call(requests.directory(path))
        except StoreError as error:
            if error.name != "E2BIG":
                raise
        listing = PartialListing(path)
        while not listing.done:
            listing.add(self._call(listing.request()))
        return listing.names

    def exists(self, path: StorePath | str) -> bool:
        """Tell whether there is such a node. StoreDenied leaves that open."""
        return self.get(path) is not None

    def get_perms(self, path: StorePath | str) -> Permissions:
        """Give a node's permissions."""
        return self._call(requests.get_perms(path))

    def set_perms(self, path: StorePath | str, perms: Permissions) -> None:
        """Replace a node's permissions. For its owner and privileged clients."""
        self._call(requests.set_perms(path, perms))

    def read_tree(self, path: StorePath | str) -> dict[StorePath, bytes]:
        """Give the values of a node and all below it, parents first, siblings in the store's order.

        What vanishes meanwhile is left out; only a transaction gives a tree of one moment.
        """
        root = StorePath(path)
        tree: dict[StorePath, bytes] = {}
        unread = [root]
        while unread:
            node = unread.pop()
            try:
                value, names = self.read(node), self.list(node)
            except NotFound:
                if node == root:
                    raise
                continue
            tree[node] = value
            unread += [node / name for name in reversed(names)]
        return tree


class BlockingTransaction(BlockingNodes):
    """What is done in it happens at once when its block ends, or not at all. Made by `transaction()`."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._id = 0

    def __enter__(self) -> Self:
        self._id = self._exchange.call(requests.transaction_start())
        return self

    def __exit__(self, exc_type: type[BaseException] | None, *_exc_info: object) -> None:
        tx_id, self._id = self._id, 0
        if exc_type is None:
            self._exchange.call(requests.transaction_end(commit=True), tx_id)
        else:
            with suppress(XenwireError):  # the exception that aborts it says more
                self._exchange.call(requests.transaction_end(commit=False), tx_id)

    def _call(self, request: Request[T]) -> T:
        if self._id == 0:
            raise UsageError("the transaction is not open", reason=f"{request.op.name} is outside its block")
        return self._exchange.call(request, self._id)


class BlockingWatch:
    """Yields the path of each node that changes, at or below a root; merges and overflows as `watch.Watch`.

    Raises TimedOut if nothing happens for `timeout` seconds (None: no end; may be changed), StoreClosed
    when the connection is lost.
    """

    def __init__(self, exchange: Exchange, path: StorePath | str, timeout: float | None) -> None:
        self._exchange = exchange
        self._path = StorePath(path)
        self.timeout = timeout
        self._events = EventQueue(self._path)
        self._token = ""

    def __enter__(self) -> Self:
        self._token = self._exchange.subscribe(self._events)
        try:
            self._exchange.call(requests.watch(self._path, self._token))
        except BaseException:
            self._exchange.unsubscribe(self._token)
            raise
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self._exchange.unsubscribe(self._token)
        with suppress(XenwireError):  # without a connection there is no watch
            self._exchange.call(requests.unwatch(self._path, self._token))

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> StorePath:
        path = self._exchange.next_event(self._events, self.timeout)
        if path is None:
            raise TimedOut(f"nothing happened at {self._path}", reason=f"watched it for {self.timeout:g} s")
        return path


class BlockingStore(BlockingNodes):
    """A connection to the store. Made by `BlockingStore.connect`."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    @classmethod
    @contextmanager
    def connect(cls, address: str | PathLike[str] | None = None, *, timeout: float = 30.0) -> Iterator[Self]:
        """Connect for the length of the block.

        `address` is the path of a Unix socket or of `/dev/xen/xenbus`; None finds the machine's store, see
        `address.find_store`. `timeout` (seconds) is for the connection, then for each reply; one that does
        not come in time ends the connection.

        Raises Unreachable, Denied, TimedOut.
        """
        exchange = Exchange(open_port(address, timeout), timeout)
        try:
            yield cls(exchange)
        finally:
            exchange.close()

    def _call(self, request: Request[T]) -> T:
        return self._exchange.call(request)

    def transaction(self) -> BlockingTransaction:
        """Give a transaction for a `with` block: committed at its end, aborted by an exception.

        The end of the block raises TransactionConflict if another client was in the way: nothing was written.
        """
        return BlockingTransaction(self._exchange)

    def transact(self, func: Callable[[BlockingTransaction], T], *, attempts: int = 50) -> T:
        """Give what `func` gives in a transaction; after a conflict, run it again, a random pause later.

        Raises TransactionConflict after `attempts` conflicts.
        """
        for attempt in range(1, attempts):
            try:
                return self._attempt(func)
            except TransactionConflict:
                time.sleep(pause(attempt))
        return self._attempt(func)

    def _attempt(self, func: Callable[[BlockingTransaction], T]) -> T:
        with self.transaction() as transaction:
            return func(transaction)

    def watch(self, path: StorePath | str, *, timeout: float | None = None) -> BlockingWatch:
        """Watch a path, which need not exist, and all below it, for the length of a `with` block.

        The iterator raises TimedOut when nothing has happened for `timeout` seconds; it may go on after that.
        """
        return BlockingWatch(self._exchange, path, timeout)

    def domain_path(self, domid: int) -> StorePath:
        """Give a domain's home, `/local/domain/N`; the domain need not exist."""
        return self._call(requests.domain_path(domid))

    def introduce(self, domid: int, gfn: int, port: int) -> None:
        """Have the store talk to a domain through its ring page (a guest frame number) and event channel."""
        self._call(requests.introduce(domid, gfn, port))

    def release(self, domid: int) -> None:
        """Have the store forget a domain, as if it had died."""
        self._call(requests.release(domid))

    def is_introduced(self, domid: int) -> bool:
        """Tell whether the store talks to a domain."""
        return self._call(requests.is_introduced(domid))

    def control(self, *words: str) -> str:
        """Have the daemon carry out a command of its own, such as `control("help")`; give its answer."""
        return self._call(requests.control(*words))
