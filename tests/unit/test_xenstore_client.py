"""The asyncio client against a store that a test plays."""

import asyncio
import socket
from types import SimpleNamespace

import pytest
from xenstore_peer import dialogue

from xenwire.errors import NotFound, ProtocolError, TimedOut, Unreachable, UsageError
from xenwire.xenstore import Store, StoreClosed, StoreError, TransactionConflict
from xenwire.xenstore.events import EventQueue
from xenwire.xenstore.wire import Op


@pytest.fixture
async def let_pass(monkeypatch):
    """A clock for the event loop that a test can put forward."""
    loop = asyncio.get_running_loop()
    real, passed = loop.time, 0.0

    def let_pass(seconds):
        nonlocal passed
        passed += seconds

    monkeypatch.setattr(loop, "time", lambda: real() + passed)
    return let_pass


async def test_requests_are_pipelined_and_replies_may_come_in_any_order(short_tmp):
    async with dialogue(short_tmp) as (store, peer):
        async with asyncio.TaskGroup() as group:
            reads = [group.create_task(store.read(f"/{i}")) for i in range(100)]
            requests = [await peer.next() for _ in range(100)]
            for request in reversed(requests):
                await peer.reply(request, request.payload)
        assert [read.result() for read in reads] == [b"/%d\0" % i for i in range(100)]


async def test_the_first_request_of_a_turn_leaves_at_once_and_the_others_together(short_tmp, monkeypatch):
    async with dialogue(short_tmp) as (store, peer), asyncio.TaskGroup() as group:
        link, writes = store._connection._link, []
        write = link._transport.write
        monkeypatch.setattr(
            link, "_transport", SimpleNamespace(write=lambda data: (writes.append(len(data)), write(data)))
        )
        for i in range(20):
            group.create_task(store.read(f"/{i:02}"))
        requests = [await peer.next() for _ in range(20)]
        assert writes == [writes[0], 19 * writes[0]]
        for request in requests:
            await peer.reply(request)
        monkeypatch.undo()


async def test_late_reply_to_a_cancelled_request_is_discarded(short_tmp):
    async with dialogue(short_tmp) as (store, peer):
        first = asyncio.create_task(store.read("/first"))
        late = await peer.next()
        first.cancel()
        second = asyncio.create_task(store.read("/second"))
        request = await peer.next()
        await peer.reply(late, b"wrong")
        await peer.reply(request, b"right")
        assert await second == b"right"
        assert first.cancelled()


async def test_request_without_reply_times_out_and_others_go_on(short_tmp, let_pass):
    async with dialogue(short_tmp, timeout=30) as (store, peer):
        slow = asyncio.create_task(store.read("/slow"))
        late = await peer.next()
        let_pass(20)
        fast = asyncio.create_task(store.read("/fast"))
        request = await peer.next()
        let_pass(11)
        with pytest.raises(TimedOut, match=r"READ /slow: none came in 30 s"):
            await slow
        await peer.reply(late, b"late")
        await peer.reply(request, b"there")
        assert await fast == b"there"
        slow = asyncio.create_task(store.read("/slow"))
        await peer.next()
        let_pass(31)
        with pytest.raises(TimedOut):
            await slow


async def test_refusal(short_tmp):
    async with dialogue(short_tmp) as (store, peer):
        task = asyncio.create_task(store.read("/a"))
        await peer.error(await peer.expect(Op.READ, "/a"), "ENOENT")
        with pytest.raises(NotFound, match="cannot read /a: it does not exist") as caught:
            await task
        assert isinstance(caught.value, StoreError)


async def test_missing_nodes_may_be_none(short_tmp):
    async with dialogue(short_tmp) as (store, peer):
        for method, expected in ((store.get, None), (store.get_text, None), (store.exists, False)):
            task = asyncio.create_task(method("/a"))
            await peer.error(await peer.expect(Op.READ, "/a"), "ENOENT")
            assert await task is expected


async def test_disconnect_fails_all_that_waits_and_all_that_comes_later(short_tmp):
    async with dialogue(short_tmp) as (store, peer):
        async with asyncio.TaskGroup() as group:
            token = group.create_task(peer.watched("/w"))
            events = await store.watch("/w").__aenter__()
        assert await anext(events) == "/w"
        reads = [asyncio.create_task(store.read(f"/{i}")) for i in range(3)]
        await peer.event("/w/last", token.result())
        for _ in reads:
            await peer.next()
        peer.sock.close()
        for outcome in await asyncio.gather(*reads, return_exceptions=True):
            assert isinstance(outcome, StoreClosed)
            assert "the daemon hung up" in str(outcome)
        assert await anext(events) == "/w/last"
        for _ in range(2):
            with pytest.raises(StoreClosed):
                await anext(events)
        with pytest.raises(Unreachable):
            await store.read("/later")
        await events.__aexit__(None, None, None)


async def test_nonsense_from_the_store_ends_the_connection_with_its_cause(short_tmp):
    async with dialogue(short_tmp) as (store, peer):
        task = asyncio.create_task(store.read("/a"))
        request = await peer.next()
        await peer.reply(request._replace(req_id=77))
        with pytest.raises(StoreClosed) as caught:
            await task
        assert isinstance(caught.value.__cause__, ProtocolError)
        assert await peer.hung_up() == []


async def test_leaving_the_store_fails_its_other_users(short_tmp):
    async with dialogue(short_tmp) as (store, peer):
        task = asyncio.create_task(store.read("/a"))
        await peer.next()
    with pytest.raises(StoreClosed, match="this program closed it"):
        await task


async def test_a_meaningless_reply_costs_one_request(short_tmp):
    async with dialogue(short_tmp) as (store, peer):
        task = asyncio.create_task(store.list("/"))
        await peer.reply(await peer.next(), b"no final NUL")
        with pytest.raises(ProtocolError):
            await task
        task = asyncio.create_task(store.read_text("/a"))
        await peer.reply(await peer.next(), b"\xff")
        with pytest.raises(ProtocolError, match="the value of /a is not text"):
            await task


async def test_long_directory_is_read_in_pieces_and_anew_after_a_change(short_tmp):
    async with dialogue(short_tmp) as (store, peer):
        task = asyncio.create_task(store.list("/d"))
        await peer.error(await peer.expect(Op.DIRECTORY, "/d"), "E2BIG")
        await peer.reply(await peer.expect(Op.DIRECTORY_PART, "/d", "0"), b"7\0a\0b\0")
        await peer.reply(await peer.expect(Op.DIRECTORY_PART, "/d", "4"), b"8\0e\0\0")
        await peer.reply(await peer.expect(Op.DIRECTORY_PART, "/d", "0"), b"8\0c\0d\0")
        await peer.reply(await peer.expect(Op.DIRECTORY_PART, "/d", "4"), b"8\0e\0\0")
        assert await task == ["c", "d", "e"]


async def test_tree_leaves_out_what_vanishes(short_tmp):
    answers = {
        (Op.READ, b"/\0"): b"root",
        (Op.DIRECTORY, b"/\0"): b"b\0gone\0a\0",
        (Op.READ, b"/b\0"): b"1",
        (Op.DIRECTORY, b"/b\0"): b"c\0",
        (Op.READ, b"/b/c\0"): b"2",
        (Op.DIRECTORY, b"/b/c\0"): b"",
        (Op.READ, b"/gone\0"): None,
        (Op.READ, b"/a\0"): b"3",
        (Op.DIRECTORY, b"/a\0"): None,
    }
    async with dialogue(short_tmp) as (store, peer):
        task = asyncio.create_task(store.read_tree("/"))
        for _ in answers:
            request = await peer.next()
            answer = answers[request.type, request.payload]
            await (peer.error(request, "ENOENT") if answer is None else peer.reply(request, answer))
        assert list((await task).items()) == [("/", b"root"), ("/b", b"1"), ("/b/c", b"2")]


# --- transactions ---


async def test_transaction_commits_at_the_end(short_tmp):
    async def write(store):
        async with store.transaction() as t:
            await t.write("/a", "1")
        with pytest.raises(UsageError, match="the transaction is not open"):
            await t.read("/a")

    async with dialogue(short_tmp) as (store, peer):
        task = asyncio.create_task(write(store))
        await peer.reply(await peer.expect(Op.TRANSACTION_START, ""), b"9\0")
        request = await peer.next()
        assert request[0::2] == (Op.WRITE, 9)
        await peer.reply(request)
        await peer.reply(await peer.expect(Op.TRANSACTION_END, "T", tx_id=9))
        await task


async def test_transaction_aborts_on_an_exception_without_waiting(short_tmp):
    async def fail(store):
        async with store.transaction():
            raise ZeroDivisionError

    async with dialogue(short_tmp) as (store, peer):
        task = asyncio.create_task(fail(store))
        await peer.reply(await peer.expect(Op.TRANSACTION_START, ""), b"9\0")
        with pytest.raises(ZeroDivisionError):
            await task
        await peer.error(await peer.expect(Op.TRANSACTION_END, "F", tx_id=9), "ENOENT")


async def test_transaction_that_starts_too_late_is_aborted(short_tmp, let_pass):
    async def start(store):
        async with store.transaction():
            pass

    async with dialogue(short_tmp) as (store, peer):
        cancelled = asyncio.create_task(start(store))
        timed_out = asyncio.create_task(start(store))
        requests = [await peer.next(), await peer.next()]
        cancelled.cancel()
        let_pass(6)
        with pytest.raises(TimedOut, match="TRANSACTION_START"):
            await timed_out
        await peer.reply(requests[0], b"8\0")
        await peer.reply(requests[1], b"9\0")
        await peer.expect(Op.TRANSACTION_END, "F", tx_id=8)
        await peer.expect(Op.TRANSACTION_END, "F", tx_id=9)


async def test_transaction_cancelled_in_the_turn_of_its_reply_is_aborted(short_tmp):
    async with dialogue(short_tmp) as (store, peer):
        task = asyncio.create_task(store.transaction().__aenter__())
        request = await peer.expect(Op.TRANSACTION_START, "")
        store._connection.received(request._replace(payload=b"9\0").encode())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await peer.expect(Op.TRANSACTION_END, "F", tx_id=9)


async def test_transact_repeats_after_a_conflict(short_tmp):
    runs = []

    async def once(transaction):
        runs.append(transaction)
        return len(runs)

    async with dialogue(short_tmp) as (store, peer):
        task = asyncio.create_task(store.transact(once))
        for tx_id in (1, 2, 3):
            await peer.reply(await peer.expect(Op.TRANSACTION_START, ""), b"%d\0" % tx_id)
            end = await peer.expect(Op.TRANSACTION_END, "T", tx_id=tx_id)
            await (peer.reply(end) if tx_id == 3 else peer.error(end, "EAGAIN"))
        assert await task == 3
    assert len(set(runs)) == 3


async def test_transact_gives_up(short_tmp):
    async def nothing(transaction):
        pass

    async with dialogue(short_tmp) as (store, peer):
        task = asyncio.create_task(store.transact(nothing, attempts=2))
        for tx_id in (1, 2):
            await peer.reply(await peer.expect(Op.TRANSACTION_START, ""), b"%d\0" % tx_id)
            await peer.error(await peer.expect(Op.TRANSACTION_END, "T", tx_id=tx_id), "EAGAIN")
        with pytest.raises(TransactionConflict):
            await task


# --- watches ---


async def test_events_between_replies_go_to_their_watches(short_tmp):
    async with dialogue(short_tmp) as (store, peer):
        async with asyncio.TaskGroup() as group:
            tokens = group.create_task(peer.watched("/a"))
            first = await store.watch("/a").__aenter__()
        async with asyncio.TaskGroup() as group:
            other = group.create_task(peer.watched("/a"))
            second = await store.watch("/a").__aenter__()
        assert tokens.result() != other.result()
        task = asyncio.create_task(store.read("/a"))
        request = await peer.next()
        await peer.event("/a/1", tokens.result())
        await peer.event("/a/2", other.result())
        await peer.event("/a/3", "not ours")
        await peer.reply(request, b"")
        await task
        assert [await anext(first), await anext(first)] == ["/a", "/a/1"]
        assert [await anext(second), await anext(second)] == ["/a", "/a/2"]


async def test_watch_is_taken_back_at_the_end_and_when_cancelled(short_tmp):
    async def follow(store):
        async with store.watch("/a") as events:
            async for _ in events:
                pass

    async with dialogue(short_tmp) as (store, peer):
        task = asyncio.create_task(follow(store))
        token = await peer.watched("/a")
        task.cancel()
        await peer.expect(Op.UNWATCH, "/a", token)
        await peer.event("/a", token)  # too late, and harmless
        task = asyncio.create_task(follow(store))
        request = await peer.next()
        task.cancel()  # before the watch is accepted
        await peer.expect(Op.UNWATCH, *request.payload.decode().split("\0")[:2])


async def test_refused_watch(short_tmp):
    async with dialogue(short_tmp) as (store, peer):
        task = asyncio.create_task(store.watch("/a").__aenter__())
        await peer.error(await peer.next(), "ENOSPC")
        with pytest.raises(StoreError, match="cannot watch /a: a quota"):
            await task


async def test_iteration_stops_when_the_block_is_left(short_tmp):
    async def drain(events):
        return [path async for path in events]

    async with dialogue(short_tmp) as (store, peer), asyncio.TaskGroup() as group:
        group.create_task(peer.watched("/a"))
        async with store.watch("/a") as events:
            assert await anext(events) == "/a"
            rest = group.create_task(drain(events))
            await asyncio.sleep(0)
        assert await rest == []


async def test_flood_of_events_becomes_one_for_the_root(short_tmp):
    async with dialogue(short_tmp) as (store, peer):
        async with asyncio.TaskGroup() as group:
            token = group.create_task(peer.watched("/a"))
            events = await store.watch("/a").__aenter__()
        assert await anext(events) == "/a"
        read = asyncio.create_task(store.read("/a"))
        request = await peer.next()
        for i in range(EventQueue.LIMIT + 1):
            await peer.event(f"/a/{i}", token.result())
        await peer.reply(request)
        await read
        assert await anext(events) == "/a"
        await peer.event("/a/b", token.result())
        assert await anext(events) == "/a/b"


async def test_wait_for(short_tmp):
    seen = []

    def done(value):
        seen.append(value)
        return value == b"4"

    async with dialogue(short_tmp) as (store, peer):
        task = asyncio.create_task(store.wait_for("/state", done))
        token = await peer.watched("/state")
        await peer.error(await peer.expect(Op.READ, "/state"), "ENOENT")
        await peer.event("/state", token)
        await peer.reply(await peer.expect(Op.READ, "/state"), b"1")
        await peer.event("/state", token)
        await peer.reply(await peer.expect(Op.READ, "/state"), b"4")
        assert await task == b"4"
        await peer.expect(Op.UNWATCH, "/state", token)
    assert seen == [None, b"1", b"4"]


@pytest.mark.parametrize(
    ("value", "reason"), [(b"1", "its value is still b'1'"), (None, "it does not exist")]
)
async def test_wait_for_says_what_it_saw_last(short_tmp, let_pass, value, reason):
    async with dialogue(short_tmp, timeout=60) as (store, peer):
        task = asyncio.create_task(store.wait_for("/state", lambda value: False))
        token = await peer.watched("/state")
        request = await peer.expect(Op.READ, "/state")
        await (peer.error(request, "ENOENT") if value is None else peer.reply(request, value))
        await peer.event("/state", token)
        await peer.expect(Op.READ, "/state")
        let_pass(31)
        with pytest.raises(TimedOut) as caught:
            await task
        assert str(caught.value) == f"waited 30 s for /state: {reason}"
        await peer.expect(Op.UNWATCH, "/state", token)


# --- connecting ---


async def test_connecting_waits_while_the_backlog_is_full(short_tmp):
    path = short_tmp / "socket"
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as other:
        listener.bind(str(path))
        listener.listen(0)
        other.connect(str(path))

        async def use():
            async with Store.connect(path):
                pass

        with pytest.raises(TimedOut, match="took no connection"):
            async with Store.connect(path, timeout=0.02):
                pass
        task = asyncio.create_task(use())
        await asyncio.sleep(0)
        listener.accept()[0].close()
        await task


async def test_nobody_listens(short_tmp):
    path = short_tmp / "socket"
    with socket.socket(socket.AF_UNIX) as unused:
        unused.bind(str(path))
    with pytest.raises(Unreachable, match="Connection refused"):
        async with Store.connect(path):
            pass


async def test_many_tasks_at_once(short_tmp):
    async def serve(peer):
        while True:
            request = await peer.next()
            await peer.reply(request, request.payload)

    async with dialogue(short_tmp) as (store, peer):
        server = asyncio.create_task(serve(peer))
        values = await asyncio.gather(*(store.read(f"/{i}") for i in range(1000)))
        server.cancel()
    assert values == [b"/%d\0" % i for i in range(1000)]
