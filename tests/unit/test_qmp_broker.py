"""The broker between clients and a scripted QEMU; the real one is in tests/qemu."""

import asyncio
import json
import logging
import os
import socket
from contextlib import asynccontextmanager

import pytest

from xenwire.errors import Conflict, Unreachable, UsageError
from xenwire.qemu.qmp.broker import connection
from xenwire.qemu.qmp.broker.access import Access
from xenwire.qemu.qmp.broker.broker import MAX_CLIENTS, Broker
from xenwire.qemu.qmp.client import QmpClient, QmpError
from xenwire.qemu.qmp.connect import connect_unix
from xenwire.qemu.qmp.transports import SocketTransport

VERSION = {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": ""}
NOT_FOUND = {"class": "CommandNotFound", "desc": "not found"}


class FakeQemu:
    """The other end of the broker's connection. It holds answers back while `gate` is not set."""

    def __init__(self, sock):
        self.sock = sock
        self.gate = asyncio.Event()
        self.gate.set()
        self.heard = []
        self.answers = {"query-fdsets": [{"fdset-id": 7, "fds": []}], "refused": NOT_FOUND}
        self.fds = []

    async def say(self, *messages):
        data = b"".join(json.dumps(message).encode() + b"\r\n" for message in messages)
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def event(self, name, **data):
        await self.say({"event": name, "data": data, "timestamp": {"seconds": 1, "microseconds": 0}})

    async def serve(self):
        await self.say({"QMP": {"version": VERSION, "capabilities": ["oob"]}})
        rest = b""
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(self.sock, readable.set)
        try:
            while True:
                await readable.wait()
                readable.clear()
                try:
                    data, fds, *_ = socket.recv_fds(self.sock, 65536, 8)
                except BlockingIOError:
                    continue
                if not data:
                    return
                self.fds += fds
                rest += data
                while b"\n" in rest:
                    line, rest = rest.split(b"\n", 1)
                    asyncio.ensure_future(self.answer(json.loads(line)))  # noqa: RUF006  it ends at once
        finally:
            loop.remove_reader(self.sock)

    async def answer(self, command):
        name = command.get("execute") or command["exec-oob"]
        self.heard.append((name, command.get("arguments", {})))
        if "execute" in command:
            await self.gate.wait()
        answer = self.answers.get(name, {})
        key = "error" if answer is NOT_FOUND else "return"
        await self.say({key: answer, "id": command["id"]})


class Raw:
    """A client by hand: one message, one line."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, path, negotiate=True):
        raw = cls(*await asyncio.open_unix_connection(str(path)))
        assert "QMP" in await raw.hear()
        if negotiate:
            await raw.say({"execute": "qmp_capabilities"})
            assert await raw.hear() == {"return": {}}
        return raw

    async def say(self, *messages):
        self.writer.write(b"".join(m if isinstance(m, bytes) else json.dumps(m).encode() for m in messages))
        await self.writer.drain()

    async def hear(self):
        line = await self.reader.readline()
        return json.loads(line) if line else None

    async def close(self):
        self.writer.close()
        await self.writer.wait_closed()


class Setup:
    def __init__(self, folder, fake, broker, qmp):
        self.full, self.ro = folder / "full.sock", folder / "ro.sock"
        self.fake, self.broker, self.qmp = fake, broker, qmp
        self._raws = []

    async def raw(self, *, ro=False, negotiate=True):
        self._raws.append(await Raw.connect(self.ro if ro else self.full, negotiate))
        return self._raws[-1]

    async def close(self):
        for raw in self._raws:
            raw.writer.transport.abort()


@asynccontextmanager
async def served(folder):
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    fake = FakeQemu(theirs)
    serving = asyncio.create_task(fake.serve())
    with theirs:
        try:
            sockets = {folder / "full.sock": Access.FULL, folder / "ro.sock": Access.MONITOR}
            async with (
                QmpClient.connect(SocketTransport(ours), peer="QEMU") as qmp,
                Broker.serve(qmp, sockets) as broker,
            ):
                setup = Setup(folder, fake, broker, qmp)
                fake.heard.clear()
                yield setup
                await setup.close()
        finally:
            serving.cancel()
            await asyncio.wait([serving])
            for fd in fake.fds:
                os.close(fd)


@pytest.fixture
async def setup(tmp_path, monkeypatch):
    monkeypatch.setenv("XENWIRE_RUN", str(tmp_path / "run"))
    async with served(tmp_path) as setup:
        yield setup


async def until(condition):
    """Wait for what nobody tells."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0)


async def test_our_own_client_through_the_broker(setup):
    setup.fake.answers["query-status"] = {"status": "running"}
    async with connect_unix(setup.full) as qmp:
        assert qmp.version == setup.qmp.version
        assert qmp.out_of_band
        assert await qmp.execute("query-status", {"a": 1}) == {"status": "running"}
        with pytest.raises(QmpError, match="not found") as caught:
            await qmp.execute("refused")
        assert caught.value.error_class == "CommandNotFound"
    assert setup.fake.heard == [("query-status", {"a": 1}), ("refused", {})]


async def test_answers_come_with_the_ids_of_their_askers(setup):
    setup.fake.gate.clear()
    clients = [await setup.raw() for _ in range(5)]
    for number, client in enumerate(clients):
        setup.fake.answers[f"c{number}"] = number
        await client.say({"execute": f"c{number}", "id": {"same": "id"}})
    await clients[0].say({"execute": "c0"})
    setup.fake.gate.set()
    for number, client in enumerate(clients):
        assert await client.hear() == {"return": number, "id": {"same": "id"}}
    assert await clients[0].hear() == {"return": 0}


async def test_clients_take_turns(setup):
    """One that has many commands waiting does not keep the others from theirs."""
    setup.fake.gate.clear()
    greedy, modest = await setup.raw(), await setup.raw()
    await greedy.say(*({"execute": f"greedy{n}", "id": n} for n in range(40)))
    await until(lambda: setup.fake.heard)
    await modest.say({"execute": "modest", "id": 1})
    await until(lambda: len(setup.broker._row) == 1)
    setup.fake.gate.set()
    await modest.hear()
    assert [name for name, _ in setup.fake.heard].index("modest") <= 2
    assert [(await greedy.hear())["id"] for n in range(40)] == list(range(40))


async def test_who_is_connected(setup):
    """The broker's own answer, which is given while QEMU is busy, too."""
    asking, other = await setup.raw(ro=True), await setup.raw()
    await other.say({"execute": "x", "id": 1})
    await other.hear()
    setup.fake.gate.clear()
    await other.say({"execute": "long", "id": 2})
    await asking.say({"execute": "__xenwire_query-clients", "id": 3})
    us = {"pid": os.getpid(), "uid": os.getuid()}
    assert await asking.hear() == {
        "return": [us | {"access": "monitor", "commands": 0}, us | {"access": "full", "commands": 1}],
        "id": 3,
    }
    early = await setup.raw(negotiate=False)
    await early.say({"execute": "__xenwire_query-clients"})
    assert "negotiation" in (await early.hear())["error"]["desc"]
    setup.fake.gate.set()


async def test_who_is_connected_takes_no_arguments(setup):
    client = await setup.raw()
    await client.say({"execute": "__xenwire_query-clients", "arguments": {"x": 1}, "id": 1})
    assert (await client.hear())["error"]["desc"] == "Parameter 'x' is unexpected"
    await client.say({"execute": "__xenwire_query-clients", "id": 2})
    assert len((await client.hear())["return"]) == 1


async def test_it_listens_on_a_socket_that_somebody_else_has_opened(setup, tmp_path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "theirs.sock"))
    listener.listen(1)
    async with Broker.serve(setup.qmp, {}, {listener.detach(): Access.MONITOR}):
        client = await Raw.connect(tmp_path / "theirs.sock", True)
        await client.say({"execute": "device_del", "id": 1})
        assert "not allowed here" in (await client.hear())["error"]["desc"]
        client.writer.transport.abort()
    assert (tmp_path / "theirs.sock").exists()  # it is theirs to remove
    with pytest.raises(UsageError, match="cannot listen on descriptor"):
        async with Broker.serve(setup.qmp, {}, {os.open(tmp_path, os.O_RDONLY): Access.FULL}):
            pass


async def test_events_go_to_all_who_have_negotiated(setup):
    one, two, mute = await setup.raw(), await setup.raw(ro=True), await setup.raw(negotiate=False)
    await setup.fake.event("STOP", n=1)
    for client in (one, two):
        event = await client.hear()
        assert (event["event"], event["data"]) == ("STOP", {"n": 1})
    await mute.say({"execute": "qmp_capabilities", "id": 1})
    assert await mute.hear() == {"return": {}, "id": 1}


async def test_events_and_answers_keep_their_order(setup):
    client = await setup.raw()
    setup.fake.gate.clear()
    await client.say({"execute": "x", "id": 1})
    await until(lambda: setup.fake.heard)
    (waiting,) = setup.qmp._waiting
    when = {"timestamp": {"seconds": 1, "microseconds": 0}}
    await setup.fake.say({"event": "A"} | when, {"return": 1, "id": waiting}, {"event": "B"} | when)
    told = [await client.hear() for _ in range(3)]
    assert [message.get("event") for message in told] == ["A", None, "B"]


async def test_pipelined_and_cut_anywhere(setup):
    client = await setup.raw(negotiate=False)
    data = b'{"execute":"qmp_capabilities","id":0}' + b"".join(
        b'{"execute":"c","id":%d}\xff\r\n' % n for n in range(1, 30)
    )
    for at in range(0, len(data), 7):
        await client.say(data[at : at + 7])
    assert await client.hear() == {"return": {}, "id": 0}
    for n in range(1, 30):
        assert await client.hear() == {"return": {}, "id": n}
        error = (await client.hear())["error"]
        assert (error["class"], error["desc"][:16]) == ("GenericError", "JSON parse error")


async def test_answers_come_though_the_client_says_no_more(setup):
    client = await setup.raw()
    await client.say({"execute": "a", "id": 1}, {"execute": "b", "id": 2})
    client.writer.write_eof()
    assert [(await client.hear())["id"], (await client.hear())["id"]] == [1, 2]
    assert await client.hear() is None
    await until(lambda: not setup.broker.clients)


async def test_a_client_that_leaves_in_the_middle_does_not_stop_the_others(setup):
    setup.fake.gate.clear()
    leaver, stayer = await setup.raw(), await setup.raw()
    await leaver.say({"execute": "long", "id": 1}, {"execute": "never", "id": 2})
    await until(lambda: setup.fake.heard)
    await stayer.say({"execute": "x", "id": 1})
    await leaver.close()
    setup.fake.gate.set()
    assert (await stayer.hear())["id"] == 1
    await until(lambda: len(setup.broker.clients) == 1)


async def test_a_socket_for_monitoring(setup, caplog):
    caplog.set_level(logging.INFO)
    reader = await setup.raw(ro=True)
    await reader.say({"execute": "query-x", "id": 1}, {"execute": "device_del", "id": 2})
    assert await reader.hear() == {"return": {}, "id": 1}
    assert "not allowed here" in (await reader.hear())["error"]["desc"]
    assert setup.fake.heard == [("query-x", {})]
    (said,) = [r.getMessage() for r in caplog.records if r.name.startswith("xenwire.qemu.qmp.broker")]
    assert said.endswith("access=monitor command='device_del' refused")


async def test_who_changed_what_is_recorded_without_arguments(setup, caplog):
    caplog.set_level(logging.INFO)
    client = await setup.raw()
    await client.say({"execute": "set_password", "arguments": {"password": "hush"}, "id": 1})
    await client.hear()
    await client.say({"execute": "refused", "id": 1})
    await client.hear()
    said = [r.getMessage() for r in caplog.records if r.name.startswith("xenwire.qemu.qmp.broker")]
    who = f"qmp client pid={os.getpid()} uid={os.getuid()} access=full"
    assert said == [f"{who} command='set_password' ok", f"{who} command='refused' CommandNotFound"]
    assert setup.broker.clients[0].commands == 2


async def test_out_of_band_commands_do_not_wait(setup):
    setup.fake.gate.clear()
    client = await setup.raw(negotiate=False)
    await client.say(
        {"execute": "qmp_capabilities", "arguments": {"enable": ["oob"]}},
        {"execute": "long", "id": 1},
        {"exec-oob": "yank", "id": 2},
        {"exec-oob": "qmp_capabilities", "id": 3},
    )
    assert await client.hear() == {"return": {}}
    assert sorted([(await client.hear())["id"], (await client.hear())["id"]]) == [2, 3]
    setup.fake.gate.set()
    assert (await client.hear())["id"] == 1


async def test_many_commands_that_are_refused_at_once(setup):
    client = await setup.raw(negotiate=False)
    await client.say({"execute": "qmp_capabilities", "arguments": {"enable": ["oob"]}})
    assert await client.hear() == {"return": {}}
    for message in ({"exec-oob": "qmp_capabilities", "id": 1}, {"execute": "add-fd", "id": 1}):
        await client.say(*[message] * 2000)
        for _ in range(2000):
            assert (await client.hear())["id"] == 1


async def test_out_of_band_commands_of_our_own_client(setup):
    setup.fake.gate.clear()
    async with connect_unix(setup.full) as qmp:
        long = asyncio.create_task(qmp.execute("long"))
        assert await qmp.execute("yank", out_of_band=True) == {}
        setup.fake.gate.set()
        assert await long == {}


def send(sock, data, fds=()):
    socket.send_fds(sock, [data], fds)


async def fd_client(setup):
    """A client that has negotiated, as a plain socket."""
    sock = socket.socket(socket.AF_UNIX)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, str(setup.full))
    await loop.sock_recv(sock, 65536)
    await loop.sock_sendall(sock, b'{"execute":"qmp_capabilities"}')
    await loop.sock_recv(sock, 65536)
    return sock


@pytest.mark.parametrize("way", ["first byte", "a blank before it", "last byte", "behind another command"])
async def test_a_descriptor_comes_with_its_command(setup, way):
    command = b'{"execute":"getfd","arguments":{"fdname":"x"},"id":1}\r\n'
    reading, writing = os.pipe()
    with await fd_client(setup) as sock:
        match way:
            case "first byte":
                send(sock, command[:1], [writing])
                send(sock, command[1:])
            case "a blank before it":
                send(sock, b" ", [writing])
                send(sock, command)
            case "last byte":
                send(sock, command[:-3])
                send(sock, command[-3:], [writing])
            case _:
                send(sock, b'{"execute":"a"}')
                send(sock, command, [writing])
        os.close(writing)
        answers = b""
        while b'"id": 1' not in answers:
            answers += await asyncio.get_running_loop().sock_recv(sock, 65536)
        (got,) = setup.fake.fds
        os.write(got, b"through")
        os.close(setup.fake.fds.pop())
        assert os.read(reading, 100) == b"through"
        assert os.read(reading, 100) == b""
        os.close(reading)
    assert setup.fake.heard[-1] == ("getfd", {"fdname": "client1-x"})


async def test_no_descriptor_is_another_commands(setup):
    """It stays with its client, and only with the commands that take one; else it is closed."""
    reading, writing = os.pipe()
    other = await setup.raw()
    with await fd_client(setup) as sock:
        send(sock, b'{"execute":"query-status","id":1}', [writing])
        os.close(writing)
        await asyncio.get_running_loop().sock_recv(sock, 65536)
        await other.say({"execute": "add-fd", "id": 1})
        answer = await other.hear()
        assert answer["error"]["desc"] == "No file descriptor supplied via SCM_RIGHTS"
    os.set_blocking(reading, True)
    await until(lambda: len(setup.broker.clients) == 1)
    assert os.read(reading, 1) == b""
    os.close(reading)
    assert setup.fake.fds == []


async def test_what_a_client_left_is_closed_when_it_goes(setup):
    setup.fake.answers["add-fd"] = {"fdset-id": 3, "fd": 20}
    reading, writing = os.pipe()
    with await fd_client(setup) as sock:
        send(sock, b'{"execute":"getfd","arguments":{"fdname":"x"},"id":1}', [writing])
        await asyncio.get_running_loop().sock_recv(sock, 65536)
        send(sock, b'{"execute":"add-fd","id":1}', [writing])
        await asyncio.get_running_loop().sock_recv(sock, 65536)
    os.close(writing)
    os.close(reading)
    await until(lambda: len(setup.fake.heard) == 4)
    assert setup.fake.heard[2:] == [
        ("closefd", {"fdname": "client1-x"}),
        ("remove-fd", {"fdset-id": 3, "fd": 20}),
    ]
    await until(lambda: not setup.broker._clients)


async def test_a_client_that_never_reads_is_left(setup, monkeypatch, caplog):
    monkeypatch.setattr(connection, "MAX_BACKLOG", 50_000)
    caplog.set_level(logging.INFO)
    slow, quick = await setup.raw(), await setup.raw()
    slow.reader._transport.pause_reading()
    blob = "x" * 10_000
    while len(setup.broker.clients) == 2:
        await setup.fake.event("BIG", blob=blob)
        assert (await quick.hear())["event"] == "BIG"
    assert [r.getMessage() for r in caplog.records if "unread" in r.getMessage()]
    await quick.say({"execute": "x", "id": 1})
    assert (await quick.hear())["id"] == 1


async def test_a_client_that_does_not_read_its_answers_gets_no_more(setup):
    setup.fake.answers["big"] = "x" * 100_000
    slow, quick = await setup.raw(), await setup.raw()
    slow.reader._transport.pause_reading()
    await slow.say(*({"execute": "big", "id": n} for n in range(200)))
    for n in range(50):
        await quick.say({"execute": "x", "id": n})
        assert (await quick.hear())["id"] == n
    assert len([name for name, _ in setup.fake.heard if name == "big"]) < 20
    slow.reader._transport.resume_reading()
    slow.reader._limit = 1_000_000
    assert [(await slow.hear())["id"] for _ in range(200)] == list(range(200))


async def test_garbage_costs_its_sender_only(setup):
    rude, polite = await setup.raw(), await setup.raw()
    rude.reader._transport.pause_reading()
    rude.writer.write(b"}" * 3_000_000)
    for n in range(20):
        await polite.say({"execute": "x", "id": n})
        assert (await polite.hear())["id"] == n
    assert all(client.connection.backlog < 200_000 for client in setup.broker._clients)
    rude.writer.transport.abort()


async def test_fifty_clients_each_get_their_share(setup):
    clients = [await setup.raw() for _ in range(50)]
    counts = dict.fromkeys(range(50), 0)
    done = asyncio.Event()

    async def use(number):
        while not done.is_set():
            await clients[number].say({"execute": "x", "id": number})
            assert (await clients[number].hear())["id"] == number
            counts[number] += 1
            if counts[number] == 20:
                done.set()

    await asyncio.gather(*map(use, counts))
    assert min(counts.values()) >= 18


async def test_more_clients_than_it_takes_wait(setup, monkeypatch):
    monkeypatch.setattr("xenwire.qemu.qmp.broker.broker.MAX_CLIENTS", 2)
    first, _ = await setup.raw(), await setup.raw()
    third = asyncio.create_task(setup.raw())
    await first.say({"execute": "x", "id": 1})
    assert (await first.hear())["id"] == 1
    assert not third.done()
    await first.close()
    await third
    assert MAX_CLIENTS > 50


async def test_clients_are_left_when_qemu_goes(setup):
    client = await setup.raw()
    setup.fake.gate.clear()
    await client.say({"execute": "x", "id": 1})
    await until(lambda: setup.fake.heard)
    setup.fake.sock.shutdown(socket.SHUT_RDWR)
    assert await client.hear() is None
    with pytest.raises(Unreachable):
        await setup.qmp.execute("x")
    assert setup.broker.clients == []


async def test_nothing_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("XENWIRE_RUN", str(tmp_path / "run"))
    before = asyncio.all_tasks()
    async with served(tmp_path) as setup:
        client = await setup.raw()
        assert (setup.full.stat().st_mode & 0o777, setup.ro.stat().st_mode & 0o777) == (0o600, 0o600)
        with pytest.raises(Conflict):
            async with Broker.serve(setup.qmp, {setup.full: Access.FULL}):
                pass
    assert await client.hear() is None
    assert not setup.full.exists()
    assert not setup.ro.exists()
    assert asyncio.all_tasks() == before
