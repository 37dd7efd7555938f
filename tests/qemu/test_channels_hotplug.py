"""Channels that come and go while the guest runs, and what becomes of them when who serves them is killed."""

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import tempfile
import time
from pathlib import Path

import pytest

from xenwire.runtime.process import ProcessRef

from .conftest import SERVE, Host

pytestmark = [pytest.mark.qemu, pytest.mark.guest]

AGENT = "org.qemu.guest_agent.0"
BLOCK = 1 << 16
"""Bytes that a client is sent at once."""


@pytest.fixture(scope="module")
def guest(image):
    """A host with one booted guest for all tests here, since a boot takes seconds."""
    folder = Path(tempfile.mkdtemp(prefix="xw-"))
    host = Host(folder, image)
    try:
        host.ok("create", host.config(channels=[f"connection=socket,name={AGENT},path={folder}/agent.sock"]))
        host.ok("agent", "ping", "guest", "--timeout", "60s")
        yield host
        host.ok("destroy", "guest")
        host.assert_clean()
    finally:
        host.close()
        shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def only_the_agent(guest):
    """Detach what a test has left."""
    yield
    for name in channels(guest):
        if name != AGENT:
            guest.ok("channel", "detach", "guest", name)


def channels(host):
    return {c["name"]: c for c in json.loads(host.ok("channel", "list", "guest", "--json"))}


def attach(host, name, *options):
    return json.loads(host.ok("channel", "attach", "guest", name, *options, "--json"))


def run(host, command):
    """Run a command in the guest, and give what it says."""
    return host.ok("agent", "exec", "guest", "--", "sh", "-c", command)


def in_background(host, command):
    run(host, f"({command}) >/dev/null 2>&1 &")


def until_there(host, *names, there=True):
    """Wait until the guest sees ports, or sees them no more."""
    tests = " && ".join(f"{'' if there else '!'} [ -e /dev/virtio-ports/{name} ]" for name in names)
    run(host, f"for i in $(seq 100); do {tests} && exit 0; sleep 0.1; done; exit 1")


def eventually(happened, timeout=20):
    deadline = time.monotonic() + timeout
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def connect(path):
    """Connect as soon as somebody listens."""
    deadline = time.monotonic() + 20
    while True:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(20)
        try:
            client.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            client.close()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        else:
            return client


def receive(client, count):
    data = b""
    while len(data) < count:
        piece = client.recv(count - len(data))
        assert piece, f"the channel closed after {len(data)} bytes"
        data += piece
    return data


def kill_server(host):
    (pid,) = host.processes(SERVE)
    process = ProcessRef.of(pid)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not process.alive)


@contextlib.contextmanager
def serving(host):
    """Serve again, as a service manager does after a kill."""
    process = host.start("serve", "--host", "qemu:")
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_socket_comes_and_goes(guest):
    path = guest.folder / "echo.sock"
    for turn in range(3):
        name = f"org.xenwire.echo.{turn}"
        channel = attach(guest, name, "--socket", path)
        assert (channel["devid"], channel["state"]) == (2, "connected")
        until_there(guest, name)
        with connect(path) as client:
            every_byte = bytes(range(256)) * 1000
            client.sendall(every_byte)
            assert receive(client, len(every_byte)) == every_byte
            guest.ok("channel", "detach", "guest", name)
            assert client.recv(1) == b""
        assert not path.exists()
        assert list(channels(guest)) == [AGENT]
        until_there(guest, name, there=False)


def test_one_name_again(guest):
    for turn in range(3):
        log = guest.folder / f"again.{turn}"
        attach(guest, "again", "--log", log)
        until_there(guest, "again")
        run(guest, f"echo {turn} >/dev/virtio-ports/again")
        guest.ok("channel", "detach", "guest", "again")
        assert log.read_text() == f"{turn}\n"


def test_each_kind(guest):
    log = guest.folder / "guest.log"
    attach(guest, "a.log", "--log", log)
    attach(guest, "a.none", "--none")
    terminal = attach(guest, "org.xenwire.echo.pty", "--pty")["place"]
    until_there(guest, "a.log", "a.none", "org.xenwire.echo.pty")

    run(guest, "echo a line >/dev/virtio-ports/a.log; head -c 3000000 /dev/zero >/dev/virtio-ports/a.none")
    eventually(lambda: log.read_text() == "a line\n")

    master = os.open(terminal, os.O_RDWR | os.O_NOCTTY)
    every_byte, got = bytes(range(256)), b""
    os.write(master, every_byte)
    while len(got) < 256:
        got += os.read(master, 256)
    assert got == every_byte
    os.close(master)


def test_thirty(guest):
    names = [f"many.{number}" for number in range(29)]
    for name in names:
        attach(guest, name, "--log", guest.folder / name)
    until_there(guest, *names)
    assert {c["devid"] for c in channels(guest).values()} == set(range(1, 31))
    refused = guest("channel", "attach", "guest", "one.more", "--none")
    assert refused.returncode == 6
    assert "30 channels already" in refused.stderr
    run(guest, "for p in /dev/virtio-ports/many.*; do echo ${p##*/} >$p; done")
    eventually(lambda: all((guest.folder / name).read_text() == f"{name}\n" for name in names))


def test_what_cannot_be_attached(guest):
    taken = guest.folder / "taken"
    taken.write_text("precious")
    for name, options, status, message in [
        (AGENT, ["--none"], 6, "has a channel of this name"),
        ("x", ["--socket", taken], 6, "not a socket"),
        ("x", ["--socket", guest.folder / "none" / "x"], 3, "there is no folder"),
        ("x", ["--log", guest.folder], 1, "cannot write the log"),
    ]:
        refused = guest("channel", "attach", "guest", name, *options)
        assert refused.returncode == status, refused.stderr
        assert message in refused.stderr
    assert taken.read_text() == "precious"
    assert list(channels(guest)) == [AGENT]
    assert guest("channel", "detach", "guest", "x").returncode == 3


def test_a_guest_waits_while_nobody_serves(guest):
    """It notices nothing: its port stays open, what it writes is kept, then waits; what it reads waits."""
    log = guest.folder / "wait.log"
    attach(guest, "w.log", "--log", log)
    attach(guest, "w.in", "--socket", guest.folder / "w.sock")
    until_there(guest, "w.log", "w.in")
    in_background(guest, "cat /dev/virtio-ports/w.in >/tmp/in; echo ended >>/tmp/in")
    in_background(guest, "sleep 1; seq 100000 >/dev/virtio-ports/w.log; echo done >/tmp/out")
    kill_server(guest)
    time.sleep(2)
    assert log.stat().st_size == 0
    with serving(guest):
        whole = "".join(f"{n}\n" for n in range(1, 100_001))
        eventually(lambda: log.stat().st_size >= len(whole))
        assert log.read_text() == whole
        with connect(guest.folder / "w.sock") as client:
            client.sendall(b"hello\n")
            guest.ok("agent", "ping", "guest", "--timeout", "10s")
            assert run(guest, "sleep 0.3; cat /tmp/out /tmp/in") == "done\nhello\n"


def test_a_command_that_needs_a_channel_has_it_served(guest):
    kill_server(guest)
    guest.ok("agent", "ping", "guest", "--timeout", "10s")
    assert len(guest.processes(SERVE)) == 1


def records(count):
    return b"".join(b"%d\n" % number for number in range(1, count + 1))


def follow(client, until):
    """Receive until some moment, or the end."""
    received = b""
    client.settimeout(0.05)
    while not until(received):
        with contextlib.suppress(TimeoutError):
            piece = client.recv(1 << 20)
            if not piece:
                break
            received += piece
    return received


def position_after(whole, position, piece):
    """Hold a client's part of a stream against the whole: no gap, and at most a block again."""
    start = whole.find(piece[:100], max(0, position - BLOCK), position + 100)
    assert start != -1, "there is a gap"
    assert whole.startswith(piece, start)
    return start + len(piece)


def test_kills_in_the_middle_of_a_stream(guest):
    """A log has every byte once. Clients of a socket have every byte, at a seam at most a block twice."""
    moments = random.Random(5)
    log, path, whole = guest.folder / "stream.log", guest.folder / "stream.sock", records(1_500_000)
    attach(guest, "s.log", "--log", log)
    attach(guest, "s.sock", "--socket", path)
    until_there(guest, "s.log", "s.sock")
    for port in ("s.log", "s.sock"):
        in_background(guest, f"sleep 2; seq 1500000 >/dev/virtio-ports/{port}")
    kill_server(guest)
    position = 0
    for _ in range(10):
        with serving(guest) as server, connect(path) as client:
            end = time.monotonic() + moments.uniform(0.05, 0.5)
            piece = follow(client, lambda _, end=end: time.monotonic() > end)
            server.kill()
            server.wait()
            position = position_after(whole, position, piece + follow(client, lambda _: False))
    with serving(guest), connect(path) as client:
        # Not by its length: what comes first may be a block again.
        last = follow(client, lambda received: received.endswith(whole[-8:]))
        assert position_after(whole, position, last) == len(whole)
        eventually(lambda: log.stat().st_size >= len(whole))
    assert log.read_bytes() == whole


def test_the_input_of_a_client_reaches_the_guest_once(guest):
    """Up to where its connection broke; what had not been taken then is gone."""
    path = guest.folder / "in.sock"
    attach(guest, "i.sock", "--socket", path)
    until_there(guest, "i.sock")
    in_background(guest, "cat /dev/virtio-ports/i.sock >/tmp/input")
    run(guest, "sleep 0.5")
    kill_server(guest)
    sent = records(400_000)
    with serving(guest) as server, connect(path) as client:
        client.settimeout(0.05)
        position = 0
        deadline = time.monotonic() + 0.5
        while time.monotonic() < deadline and position < len(sent):
            with contextlib.suppress(TimeoutError):
                position += client.send(sent[position : position + 5000])
        server.kill()
        server.wait()
    with serving(guest):
        connect(guest.folder / "agent.sock").close()
        run(guest, "sleep 0.5")
        size = int(run(guest, "wc -c </tmp/input"))
        assert 0 < size <= position
        lines = size // 7
        assert run(guest, f"head -c {size} /tmp/input | head -n {lines} | md5sum") == run(
            guest, f"seq 400000 | head -c {size} | head -n {lines} | md5sum"
        )


def test_a_channel_of_qemus_own_cannot_be_detached(host):
    config = host.config(channels=[f"connection=socket,name=a,path={host.folder}/a.sock"])
    host.ok("create", config, "--paused", "--backend", "qemu")
    assert host.nodes()["/local/domain/1/device/console/1/type"] == "ioemu"
    assert host.processes(SERVE) == []
    refused = host("channel", "detach", "guest", "a")
    assert refused.returncode == 6
    assert "its device model serves it" in refused.stderr
    host.ok("channel", "attach", "guest", "b", "--pty")
    host.ok("destroy", "guest")
    host.assert_clean()


def test_destroy_while_nobody_serves(host):
    host.ok("create", host.config(channels=[f"connection=socket,name=a,path={host.folder}/a.sock"]))
    kill_server(host)
    host.ok("destroy", "guest")
    host.assert_clean()


def test_a_reset_begins_anew_and_what_came_before_is_kept(guest):
    """The last test here: the guest boots once more."""
    place = guest.folder / "reset"
    attach(guest, "reset", "--log", place)
    run(
        guest,
        "until [ -e /dev/virtio-ports/reset ]; do sleep 0.1; done; echo before >/dev/virtio-ports/reset",
    )
    eventually(lambda: place.read_text() == "before\n")
    assert channels(guest)["reset"]["generation"] == 1
    guest.ok("dm", "qmp", "guest", "system_reset")
    guest.ok("agent", "ping", "guest", "--timeout", "60s")
    eventually(lambda: channels(guest)[AGENT]["generation"] == 2)
    run(guest, "echo after >/dev/virtio-ports/reset")
    eventually(lambda: place.read_text() == "before\nafter\n")
    eventually(lambda: channels(guest)["reset"]["generation"] == 2)
