"""A booted guest at the other end of its channels."""

import json
import os
import re
import select
import shutil
import socket
import subprocess
import tempfile
import time
import tty
from pathlib import Path

import pytest

from .conftest import COMMAND, Host

pytestmark = [pytest.mark.qemu, pytest.mark.guest]

AGENT = "org.qemu.guest_agent.0"


@pytest.fixture(scope="module")
def guest(image):
    """A host with one booted guest for all tests here, since a boot takes seconds."""
    folder = Path(tempfile.mkdtemp(prefix="xw-"))
    host = Host(folder, image)
    try:
        config = host.config(
            channels=[
                "connection=none,name=org.xenwire.none.0",
                "connection=pty,name=org.xenwire.echo.pty",
                f"connection=path,name=org.xenwire.log.0,path={folder}/guest.log",
                f"connection=socket,name=org.xenwire.echo.socket,path={folder}/echo.sock",
                f"connection=socket,name=org.xenwire.flood.0,path={folder}/flood.sock",
                f"connection=socket,name={AGENT},path={folder}/agent.sock",
            ]
        )
        (folder / "guest.log").write_text("what was there before\n")
        host.ok("create", config)
        host.ok("agent", "ping", "guest", "--timeout", "60s")
        yield host
    finally:
        host.close()
        shutil.rmtree(folder)


def run(host, *command):
    """Run a command in the guest."""
    return host("agent", "exec", "guest", "--", *command)


def connect(path):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(10)
    client.connect(str(path))
    return client


def receive(client, count):
    data = b""
    while len(data) < count:
        piece = client.recv(count - len(data))
        assert piece, f"the channel closed after {len(data)} bytes"
        data += piece
    return data


def places(host):
    return {c["name"]: c["place"] for c in json.loads(host.ok("channel", "list", "guest", "--json"))}


def test_the_agent_tells_of_its_guest(guest):
    info = json.loads(guest.ok("agent", "info", "guest", "--json"))
    assert "Linux" in json.dumps(info) or "Xenwire" in json.dumps(info)
    assert re.search(r"\b6\.\d+\.\d+", json.dumps(info))


def test_a_command_in_the_guest(guest):
    result = run(guest, "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (result.returncode, result.stdout, result.stderr) == (7, "out\n", "err\n")
    assert run(guest, "uname", "-s").stdout == "Linux\n"


def test_channels_are_connected_and_show_which_of_them_the_guest_has_opened(guest):
    nodes = guest.nodes()
    frontends = {
        nodes[path.removesuffix("state") + "name"]: value
        for path, value in nodes.items()
        if path.startswith("/local/domain/1/device/console/") and path.endswith("/state")
    }
    assert (
        frontends["org.xenwire.echo.pty"] == frontends["org.xenwire.echo.socket"] == frontends[AGENT] == "4"
    )
    assert frontends["org.xenwire.none.0"] == "3"
    states = {
        nodes[path.removesuffix("state") + "name"]: value
        for path, value in nodes.items()
        if path.startswith("/local/domain/0/backend/console/1/")
        and path.endswith("/state")
        and "/1/0/" not in path
    }
    assert set(states.values()) == {"4"}


def test_a_socket_echoes_again_and_again(guest):
    for turn in range(5):
        with connect(guest.folder / "echo.sock") as client:
            sent = bytes(range(256)) * 4 + b"%d" % turn
            client.sendall(sent)
            assert receive(client, len(sent)) == sent


def test_a_second_client_waits_for_the_first_to_leave(guest):
    with connect(guest.folder / "echo.sock") as first, connect(guest.folder / "echo.sock") as second:
        second.sendall(b"second")
        first.sendall(b"first")
        assert receive(first, 5) == b"first"
        first.close()
        assert receive(second, 6) == b"second"


def test_a_pty_echoes_every_byte(guest):
    terminal = os.open(places(guest)["org.xenwire.echo.pty"], os.O_RDWR | os.O_NOCTTY)
    try:
        tty.setraw(terminal)
        sent, got = bytes(range(256)), b""
        os.write(terminal, sent)
        while len(got) < len(sent):
            got += os.read(terminal, 4096)
        assert got == sent
    finally:
        os.close(terminal)


def test_a_log_is_appended_to(guest):
    assert run(guest, "sh", "-c", "echo a line > /dev/virtio-ports/org.xenwire.log.0").returncode == 0
    deadline = time.monotonic() + 5
    while "a line\n" not in (text := (guest.folder / "guest.log").read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert text == "what was there before\na line\n"


def test_none_swallows_writes_and_never_gives_anything(guest):
    port = "/dev/virtio-ports/org.xenwire.none.0"
    assert run(guest, "sh", "-c", f"head -c 3000000 /dev/zero > {port}").returncode == 0
    read = run(guest, "timeout", "1", "head", "-c", "1", port)
    assert read.stdout == ""
    assert read.returncode != 0


def memory(pid):
    return int(re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[1])


def test_a_client_that_never_reads_costs_nobody_else(guest):
    """The guest floods a channel whose client does not read; everything else goes on, in bounded memory."""
    qemu = guest.qemu()
    before = memory(qemu)
    with connect(guest.folder / "flood.sock") as deaf:
        flood = "cat /dev/zero > /dev/virtio-ports/org.xenwire.flood.0"
        assert run(guest, "sh", "-c", f"({flood}) >/dev/null 2>&1 & echo $!").returncode == 0
        for _ in range(3):
            guest.ok("agent", "ping", "guest", "--timeout", "10s")
            with connect(guest.folder / "echo.sock") as client:
                for _ in range(50):
                    client.sendall(b"still here")
                    assert receive(client, 10) == b"still here"
        assert run(guest, "sh", "-c", "sleep 1; echo on").stdout == "on\n"
        assert memory(qemu) - before < 16 * 1024
        assert receive(deaf, 1 << 20) == bytes(1 << 20)  # nothing was lost while it did not listen
        run(guest, "killall", "cat")


def test_the_console_in_a_terminal(guest):
    """Attach with a real terminal, type a command, read its answer, leave with Ctrl-]."""
    master, slave = os.openpty()
    console = subprocess.Popen(
        [*COMMAND, "console", "guest"],
        env=guest.env,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    seen = b""

    def until(text):
        nonlocal seen
        while text not in seen:
            assert select.select([master], [], [], 30)[0], seen
            seen += os.read(master, 4096)

    try:
        until(b"Leave with ^].")
        os.write(master, b"\recho $((6*7))\r")
        until(b"42")
        os.write(master, b"\x1d")
        assert console.wait(timeout=10) == 0
    finally:
        console.kill()
        console.wait()
        os.close(master)
    assert guest.domains()["guest"]["state"] == "running"


@pytest.mark.parametrize("end", ["poweroff", "reboot"])
def test_a_guest_that_ends_itself_is_shut_down(host, end):
    channels = [f"connection=socket,name={AGENT},path={host.folder}/a.sock"]
    host.ok("create", host.config(channels=channels, on_reboot="destroy"))
    host.ok("agent", "ping", "guest", "--timeout", "60s")
    host("agent", "exec", "guest", "--timeout", "5s", "--", end, "-f")
    host.ok("wait", "guest", "--for", "state=shutdown", "--timeout", "20s")
    host.ok("destroy", "guest")
    host.assert_clean()


def test_a_guest_that_powers_off_begins_anew_where_it_is_to(host):
    channels = [f"connection=socket,name={AGENT},path={host.folder}/a.sock"]
    host.ok("create", host.config(channels=channels, on_poweroff="restart"))
    host.ok("agent", "ping", "guest", "--timeout", "60s")
    before = host.domains()["guest"]
    host("agent", "exec", "guest", "--timeout", "5s", "--", "poweroff", "-f")
    deadline = time.monotonic() + 30
    while (guest := host.domains().get("guest", before))["domid"] == before["domid"]:
        assert time.monotonic() < deadline, guest
        time.sleep(0.1)
    host.ok("agent", "ping", "guest", "--timeout", "60s")
    assert host.domains()["guest"] == {**before, "domid": guest["domid"]}
    host.ok("destroy", "guest")
    host.assert_clean()
