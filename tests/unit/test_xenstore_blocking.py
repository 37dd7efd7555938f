"""The blocking client against a store that a thread plays."""

import socket
import threading
from contextlib import contextmanager

import pytest

from xenwire.errors import NotFound, ProtocolError, TimedOut, Unreachable, UsageError
from xenwire.xenstore import BlockingStore, StoreClosed, TransactionConflict
from xenwire.xenstore.wire import Decoder, Frame, Op, join


class Peer:
    def __init__(self, sock):
        self.sock = sock
        self._decoder = Decoder()
        self._frames = []

    def next(self):
        while not self._frames:
            data = self.sock.recv(65536)
            assert data, "the client hung up"
            self._frames += self._decoder.feed(data)
        return self._frames.pop(0)

    def expect(self, op, *strings, tx_id=0):
        frame = self.next()
        assert (Op(frame.type), frame.payload, frame.tx_id) == (op, join(*strings), tx_id)
        return frame

    def reply(self, request, payload=b"OK\0"):
        self.sock.sendall(request._replace(payload=payload).encode())

    def error(self, request, name):
        self.sock.sendall(request._replace(type=Op.ERROR, payload=join(name)).encode())

    def event(self, path, token):
        self.sock.sendall(Frame(Op.WATCH_EVENT, 0, 0, join(path, token)).encode())


@contextmanager
def played(folder, script, *, timeout=5.0):
    """Connect a BlockingStore to `script`, which runs in a thread; its failure is the test's."""
    failures = []

    def play():
        try:
            with listener.accept()[0] as sock:
                sock.settimeout(5)
                script(Peer(sock))
        except BaseException as error:
            failures.append(error)

    path = folder / "socket"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=play)
        thread.start()
        try:
            with BlockingStore.connect(path, timeout=timeout) as store:
                yield store
        finally:
            thread.join()
    if failures:
        raise failures[0]


def test_requests_and_refusals(short_tmp):
    def script(peer):
        peer.reply(peer.expect(Op.READ, "/a"), b"\0v\0")
        peer.error(peer.expect(Op.READ, "/b"), "ENOENT")
        peer.error(peer.expect(Op.READ, "/b"), "ENOENT")
        peer.error(peer.expect(Op.READ, "/b"), "ENOENT")
        peer.error(peer.expect(Op.READ, "/b"), "ENOENT")
        peer.reply(peer.next(), b"\xff")
        peer.reply(peer.next(), b"ok")

    with played(short_tmp, script) as store:
        assert store.read("/a") == b"\0v\0"
        with pytest.raises(NotFound, match="cannot read /b"):
            store.read("/b")
        assert (store.get("/b"), store.get_text("/b"), store.exists("/b")) == (None, None, False)
        with pytest.raises(ProtocolError, match="not text"):
            store.read_text("/c")
        assert store.read_text("/c") == "ok"


def test_long_directory_is_read_in_pieces(short_tmp):
    def script(peer):
        peer.error(peer.expect(Op.DIRECTORY, "/d"), "E2BIG")
        peer.reply(peer.expect(Op.DIRECTORY_PART, "/d", "0"), b"7\0a\0b\0")
        peer.reply(peer.expect(Op.DIRECTORY_PART, "/d", "4"), b"7\0c\0\0")

    with played(short_tmp, script) as store:
        assert store.list("/d") == ["a", "b", "c"]


def test_transactions(short_tmp):
    def script(peer):
        peer.reply(peer.expect(Op.TRANSACTION_START, ""), b"9\0")
        peer.reply(peer.expect(Op.MKDIR, "/a", tx_id=9))
        peer.reply(peer.expect(Op.TRANSACTION_END, "T", tx_id=9))
        peer.reply(peer.expect(Op.TRANSACTION_START, ""), b"10\0")
        peer.reply(peer.expect(Op.TRANSACTION_END, "F", tx_id=10))
        for tx_id in (11, 12):
            peer.reply(peer.expect(Op.TRANSACTION_START, ""), b"%d\0" % tx_id)
            end = peer.expect(Op.TRANSACTION_END, "T", tx_id=tx_id)
            if tx_id == 11:
                peer.error(end, "EAGAIN")
            else:
                peer.reply(end)
        peer.reply(peer.expect(Op.TRANSACTION_START, ""), b"13\0")
        peer.error(peer.expect(Op.TRANSACTION_END, "T", tx_id=13), "EAGAIN")

    with played(short_tmp, script) as store:
        with store.transaction() as transaction:
            transaction.mkdir("/a")
        with pytest.raises(UsageError):
            transaction.mkdir("/a")
        with pytest.raises(ZeroDivisionError), store.transaction():
            raise ZeroDivisionError
        assert store.transact(lambda transaction: "done") == "done"
        with pytest.raises(TransactionConflict):
            store.transact(lambda transaction: None, attempts=1)


def test_events_are_kept_while_a_reply_is_awaited(short_tmp):
    def script(peer):
        request = peer.next()
        assert request.payload == join("/w", "1")
        peer.reply(request)
        peer.event("/w", "1")
        request = peer.next()
        peer.event("/w/1", "1")
        peer.event("/w/1", "1")
        peer.event("/x", "other")
        peer.reply(request, b"")
        peer.event("/w/2", "1")
        peer.reply(peer.expect(Op.UNWATCH, "/w", "1"))

    with played(short_tmp, script) as store, store.watch("/w") as events:
        store.read("/a")
        assert [next(events) for _ in range(3)] == ["/w", "/w/1", "/w/2"]


def test_quiet_watch_times_out_and_goes_on(short_tmp):
    waited = threading.Event()

    def script(peer):
        peer.reply(peer.next())
        waited.wait()
        peer.event("/w", "1")
        peer.reply(peer.expect(Op.UNWATCH, "/w", "1"))

    with played(short_tmp, script) as store, store.watch("/w", timeout=0.01) as events:
        with pytest.raises(TimedOut, match=r"nothing happened at /w: watched it for 0\.01 s"):
            next(events)
        waited.set()
        events.timeout = None
        assert next(events) == "/w"


def test_request_without_reply_ends_the_connection(short_tmp):
    def script(peer):
        peer.next()
        assert peer.sock.recv(1) == b""

    with played(short_tmp, script, timeout=0.05) as store:
        with pytest.raises(TimedOut, match=r"READ /a: none came in 0\.05 s"):
            store.read("/a")
        with pytest.raises(StoreClosed, match="no reply from the store to READ /a"):
            store.read("/a")


def test_disconnect(short_tmp):
    def script(peer):
        peer.reply(peer.next())
        peer.event("/w", "1")
        peer.next()

    with played(short_tmp, script) as store, store.watch("/w") as events:
        with pytest.raises(StoreClosed, match="hung up"):
            store.read("/a")
        assert next(events) == "/w"
        with pytest.raises(Unreachable):
            next(events)


def test_store_that_does_not_read(short_tmp):
    stop = threading.Event()

    def script(peer):
        stop.wait()

    with played(short_tmp, script, timeout=0.1) as store:
        with pytest.raises(StoreClosed):
            for _ in range(1000):
                store._exchange._port.send(bytes(4096))
        stop.set()


def test_nonsense_from_the_store(short_tmp):
    def script(peer):
        peer.reply(peer.next()._replace(req_id=77))

    with played(short_tmp, script) as store:
        with pytest.raises(StoreClosed, match="answered what was not asked") as caught:
            store.read("/a")
        assert isinstance(caught.value.__cause__, ProtocolError)


def test_connecting_to_a_full_backlog_times_out(short_tmp):
    path = short_tmp / "socket"
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as other:
        listener.bind(str(path))
        listener.listen(0)
        other.connect(str(path))
        with pytest.raises(TimedOut, match="took no connection"), BlockingStore.connect(path, timeout=0.05):
            pass


def test_nobody_listens(short_tmp):
    path = short_tmp / "socket"
    with socket.socket(socket.AF_UNIX) as unused:
        unused.bind(str(path))
    with pytest.raises(Unreachable, match="Connection refused"), BlockingStore.connect(path):
        pass


def test_path_too_long_for_a_socket(short_tmp):
    with pytest.raises(Unreachable), BlockingStore.connect(short_tmp / ("x" * 120)):
        pass
