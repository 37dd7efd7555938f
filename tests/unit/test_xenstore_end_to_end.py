"""Both clients against the real daemon."""

import asyncio

import pytest
from xenstore_daemon import Daemon

from xenwire.errors import NotFound
from xenwire.xenstore import (
    BlockingStore,
    InvalidRequest,
    Permissions,
    Store,
    StoreClosed,
    StoreNotFound,
    TransactionConflict,
)


@pytest.fixture
def daemon(short_tmp):
    with Daemon(short_tmp / "socket") as daemon:
        yield daemon


@pytest.fixture
def path(daemon):
    return daemon.path


async def test_nodes(path):
    async with Store.connect(path) as store:
        every_byte = bytes(range(256)) + b"\0"
        await store.write("/e/a/b", every_byte)
        await store.mkdir("/e/c")
        await store.mkdir("/e/a/b")
        assert await store.read("/e/a/b") == every_byte
        assert await store.read("/e/a") == b""
        assert await store.list("/e") == ["a", "c"]
        assert list(await store.read_tree("/e")) == ["/e", "/e/a", "/e/a/b", "/e/c"]
        await store.set_perms("/e/c", Permissions.parse("n0", "r5"))
        assert await store.get_perms("/e/c") == Permissions.parse("n0", "r5")
        await store.rm("/e/a")
        assert not await store.exists("/e/a/b")
        assert await store.get_text("/e/a/b") is None
        with pytest.raises(StoreNotFound):
            await store.read("/e/a")
        with pytest.raises(NotFound):
            await store.rm("/nowhere/at/all")
        with pytest.raises(InvalidRequest):
            await store.rm("/")
        assert await store.domain_path(7) == "/local/domain/7"
        assert await store.is_introduced(7) is False
        await store.write("e/relative", "1")
        assert await store.read_text("/local/domain/0/e/relative") == "1"


async def test_long_directory(path):
    async with Store.connect(path) as store:
        names = [f"a-rather-long-name-{i}" for i in range(500)]
        await asyncio.gather(*(store.write(f"/e/{name}", "") for name in names))
        assert await store.list("/e") == names


async def test_conflicts_are_repeated_until_all_are_done(path):
    async def count(transaction):
        value = int(await transaction.get_text("/e/n") or 0)
        await asyncio.sleep(0)
        await transaction.write("/e/n", str(value + 1))

    async with Store.connect(path) as store, Store.connect(path) as other:
        await asyncio.gather(*(client.transact(count) for client in (store, other) for _ in range(10)))
        assert await store.read("/e/n") == b"20"
        with pytest.raises(TransactionConflict):
            async with store.transaction() as transaction:
                await transaction.read("/e/n")
                await other.write("/e/n", "0")
                await transaction.write("/e/n", "1")
        with pytest.raises(ZeroDivisionError):
            async with store.transaction() as transaction:
                await transaction.write("/e/n", "1")
                raise ZeroDivisionError
        assert await store.read("/e/n") == b"0"


async def test_watches(path):
    async with Store.connect(path) as store, Store.connect(path) as other:
        async with store.watch("/e") as events, store.watch("e") as relative:
            assert await anext(events) == "/e"
            assert await anext(relative) == "e"
            await other.write("/e/a/b", "1")
            assert await anext(events) == "/e/a/b"
            await other.write("e/x", "1")
            assert await anext(relative) == "e/x"
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(store.wait_for("/e/state", lambda value: value == b"2"))
            for value in ("0", "1", "2"):
                await other.write("/e/state", value)
        assert waiting.result() == b"2"


async def test_daemon_ends(daemon):
    async with Store.connect(daemon.path) as store, store.watch("/e") as events:
        await anext(events)
        await asyncio.to_thread(daemon.stop)
        with pytest.raises(StoreClosed):
            await anext(events)
        with pytest.raises(StoreClosed):
            await store.read("/")


def test_blocking(path):
    with BlockingStore.connect(path) as store, BlockingStore.connect(path) as other:
        store.write("/e/a", b"\0\xff")
        assert (store.read("/e/a"), store.list("/e"), store.get("/e/x")) == (b"\0\xff", ["a"], None)
        assert list(store.read_tree("/e").items()) == [("/e", b""), ("/e/a", b"\0\xff")]
        store.set_perms("/e/a", Permissions.parse("b0"))
        assert str(store.get_perms("/e/a")) == "b0"
        store.mkdir("/e/d")
        store.rm("/e/d")
        with store.transaction() as transaction:
            transaction.write("/e/b", "1")
            assert not other.exists("/e/b")
        assert other.read_text("/e/b") == "1"
        with pytest.raises(TransactionConflict), store.transaction() as transaction:
            transaction.read("/e/b")
            other.write("/e/b", "2")
            transaction.write("/e/b", "3")
        with store.watch("/e") as events:
            assert next(events) == "/e"
            other.write("/e/b", "4")
            assert next(events) == "/e/b"
        assert store.domain_path(7) == "/local/domain/7"
        assert store.is_introduced(7) is False
        names = [f"a-rather-long-name-{i}" for i in range(500)]
        for name in names:
            store.write(f"/e/long/{name}", "")
        assert store.list("/e/long") == names
