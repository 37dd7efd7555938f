"""The store for asyncio programs.

    async with Store.connect() as store:
        name = await store.read_text("/local/domain/3/name")
        async with store.transaction() as t:
            await t.write("data/a", "1")
            await t.write("data/b", "2")
        async with store.watch("data") as events:
            async for path in events:
                ...

Any number of tasks may share a Store: their requests are pipelined.
"""

from __future__ import annotations

import abc
import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from os import PathLike
from typing import Final, Self, TypeVar

from xenwire.errors import NotFound, TimedOut, UsageError
from xenwire.types import StorePath
from xenwire.xenstore import requests
from xenwire.xenstore.connection import Connection
from xenwire.xenstore.errors import StoreError, TransactionConflict
from xenwire.xenstore.link import open_link
from xenwire.xenstore.listener import Listener
from xenwire.xenstore.node import Node
from xenwire.xenstore.perms import Permissions
from xenwire.xenstore.requests import PartialListing, Request
from xenwire.xenstore.retry import pause
from xenwire.xenstore.watch import Watch

__all__ = ["Nodes", "Store", "Transaction"]

T = TypeVar("T")


_TRANSACTIONS: Final = 8
"""Transactions of one connection at once: xenstored lets a guest have ten."""


class Nodes(abc.ABC):
    """What one may ask of the nodes, in a transaction or not.

    Every method raises StoreError as its class for the cause (StoreNotFound, StoreDenied…), TimedOut for a
    store that does not answer, StoreClosed when the connection is lost, UsageError for what is no path.
    """

    @abc.abstractmethod
    async def _call(self, request: Request[T]) -> T: ...

    @abc.abstractmethod
    async def _call_all(self, wanted: Iterable[Request[T]]) -> list[T]: ...

    async def read(self, path: StorePath | str) -> bytes:
        """Give a node's value, every byte of it."""
        return await self._call(requests.read(path))

    async def read_text(self, path: StorePath | str) -> str:
        """Give a node's value as text. Raises ProtocolError if it is not UTF-8."""
        return await self._call(requests.read_text(path))

    async def get(self, path: StorePath | str) -> bytes | None:
        """Give a node's value, or None if there is no such node."""
        return await self._call(requests.get(path))

    async def get_all(self, paths: Iterable[StorePath | str]) -> list[bytes | None]:
        """Give the values of nodes, or None for those that do not exist, waiting for no reply between."""
        return await self._call_all(map(requests.get, paths))

    async def get_text(self, path: StorePath | str) -> str | None:
        """Give a node's value as text, or None if there is no such node. Raises as read_text."""
        try:
            return await self.read_text(path)
        except NotFound:
            return None

    async def write(self, path: StorePath | str, value: bytes | str) -> None:
        """Set a node's value, at most some 4000 bytes; text as UTF-8. Missing ancestors are made, empty."""
        await self._call(requests.write(path, value))

    async def write_all(self, nodes: Iterable[Node]) -> None:
        """Write nodes and their permissions in this order, parents first, waiting for no reply between."""
        wanted: list[Request[None]] = []
        for node in nodes:
            wanted.append(requests.write(node.path, os.fsencode(node.value)))
            if node.perms is not None:
                wanted.append(requests.set_perms(node.path, node.perms))
        await self._call_all(wanted)

    async def mkdir(self, path: StorePath | str) -> None:
        """Make an empty node, with its ancestors. One that exists keeps its value."""
        await self._call(requests.mkdir(path))

    async def rm(self, path: StorePath | str) -> None:
        """Remove a node and all below it. No such node is fine, no parent either is StoreNotFound."""
        await self._call(requests.rm(path))

    async def discard(self, *paths: StorePath | str) -> None:
        """Remove nodes and all below them, those that there are, waiting for no reply between."""
        await self._call_all(map(requests.discard, paths))

    async def names(self, path: StorePath | str) -> list[str]:
        """Give the names of a node's children; none if there is no such node."""
        try:
            return await self.list(path)
        except NotFound:
            return []

    async def list(self, path: StorePath | str) -> list[str]:
        """Give the names of a node's children, however many."""
        try:
            return await self._call(requests.directory(path))
        except StoreError as error:
            if error.name != "E2BIG":
                raise
        listing = PartialListing(path)
        while not listing.done:
            listing.add(await self._call(listing.request()))
        return listing.names

    async def exists(self, path: StorePath | str) -> bool:
        """Tell whether there is such a node. StoreDenied leaves that open."""
        return await self.get(path) is not None

    async def get_perms(self, path: StorePath | str) -> Permissions:
        """Give a node's permissions."""
        return await self._call(requests.get_perms(path))

    async def set_perms(self, path: StorePath | str, perms: Permissions) -> None:
        """Replace a node's permissions. For its owner and privileged clients."""
        await self._call(requests.set_perms(path, perms))

    async def read_tree(self, path: StorePath | str) -> dict[StorePath, bytes]:
        """Give the values of a node and all below it, parents first, siblings in the store's order.

        What vanishes meanwhile is left out; only a transaction gives a tree of one moment.
        """
        root = StorePath(path)
        tree: dict[StorePath, bytes] = {}
        unread = [root]
        while unread:
            node = unread.pop()
            try:
                value, names = await self.read(node), await self.list(node)
            except NotFound:
                if node == root:
                    raise
                continue
            tree[node] = value
            unread += [node / name for name in reversed(names)]
        return tree


class Transaction(Nodes):
    """What is done in it happens at once when its block ends, or not at all. Made by `Store.transaction`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._id = 0

    async def __aenter__(self) -> Self:
        self._id = await self._connection.begin()
        return self

    async def __aexit__(self, exc_type: type[BaseException] | None, *_exc_info: object) -> None:
        tx_id, self._id = self._id, 0
        if exc_type is None:
            await self._connection.call(requests.transaction_end(commit=True), tx_id)
        else:
            self._connection.post(requests.transaction_end(commit=False), tx_id)

    async def _call(self, request: Request[T]) -> T:
        (value,) = await self._call_all([request])
        return value

    async def _call_all(self, wanted: Iterable[Request[T]]) -> list[T]:
        if self._id == 0:
            names = ", ".join(request.op.name for request in wanted)
            raise UsageError("the transaction is not open", reason=f"{names} is outside its block")
        return await self._connection.call_all(wanted, self._id)


class Store(Nodes):
    """A connection to the store. Made by `Store.connect`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._transactions = asyncio.Semaphore(_TRANSACTIONS)

    @classmethod
    @asynccontextmanager
    async def connect(
        cls, address: str | PathLike[str] | None = None, *, timeout: float = 30.0
    ) -> AsyncIterator[Self]:
        """Connect for the length of the block.

        `address` is the path of a Unix socket or of `/dev/xen/xenbus`; None finds the machine's store, see
        `address.find_store`. `timeout` (seconds) is for the connection, then for each reply.

        Raises Unreachable, Denied, TimedOut.
        """
        connection = Connection(await open_link(address, timeout), timeout)
        await connection.start()
        try:
            yield cls(connection)
        finally:
            await connection.close()

    async def _call(self, request: Request[T]) -> T:
        return await self._connection.call(request)

    async def _call_all(self, wanted: Iterable[Request[T]]) -> list[T]:
        return await self._connection.call_all(wanted)

    def transaction(self) -> Transaction:
        """Give a transaction for an `async with` block: committed at its end, aborted by an exception.

        The end of the block raises TransactionConflict if another client was in the way: nothing was written.
        """
        return Transaction(self._connection)

    async def transact(self, func: Callable[[Transaction], Awaitable[T]], *, attempts: int = 50) -> T:
        """Give what `func` gives in a transaction; after a conflict, run it again, a random pause later.

        Raises TransactionConflict after `attempts` conflicts.
        """
        for attempt in range(1, attempts):
            try:
                return await self._attempt(func)
            except TransactionConflict:
                await asyncio.sleep(pause(attempt))
        return await self._attempt(func)

    async def _attempt(self, func: Callable[[Transaction], Awaitable[T]]) -> T:
        async with self._transactions, self.transaction() as transaction:
            return await func(transaction)

    def watch(self, path: StorePath | str) -> Watch:
        """Watch a path, which need not exist, and all below it, for the length of an `async with` block."""
        return Watch(self._connection, path)

    async def listen(self, path: StorePath | str, changed: Callable[[], None]) -> Listener:
        """Call `changed` whenever something changes at or below a path, once at first, until it is closed."""
        return await Listener(self._connection, path, changed).start()

    async def wait_for(
        self, path: StorePath | str, predicate: Callable[[bytes | None], bool], timeout: float = 30.0
    ) -> bytes | None:
        """Wait until `predicate` is true of a node's value (None: no such node), and give that value.

        Raises TimedOut after `timeout` seconds.
        """
        value = None
        try:
            async with asyncio.timeout(timeout), self.watch(path) as events:
                while True:
                    await anext(events)
                    value = await self.get(path)
                    if predicate(value):
                        return value
        except TimeoutError:
            raise TimedOut(
                f"waited {timeout:g} s for {path}",
                reason="it does not exist" if value is None else f"its value is still {value!r}",
                path=str(path),
                value=value,
            ) from None

    async def domain_path(self, domid: int) -> StorePath:
        """Give a domain's home, `/local/domain/N`; the domain need not exist."""
        return await self._call(requests.domain_path(domid))

    async def introduce(self, domid: int, gfn: int, port: int) -> None:
        """Have the store talk to a domain through its ring page (a guest frame number) and event channel."""
        await self._call(requests.introduce(domid, gfn, port))

    async def release(self, domid: int) -> None:
        """Have the store forget a domain, as if it had died."""
        await self._call(requests.release(domid))

    async def is_introduced(self, domid: int) -> bool:
        """Tell whether the store talks to a domain."""
        return await self._call(requests.is_introduced(domid))

    async def control(self, *words: str) -> str:
        """Have the daemon carry out a command of its own, such as `control("help")`; give its answer."""
        return await self._call(requests.control(*words))
