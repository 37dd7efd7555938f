"""Creating and destroying domains, with a host in this process that does as it is told."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import uuid
from pathlib import Path

import pytest

from xenwire.cli import domain as commands
from xenwire.cli import run
from xenwire.errors import NotFound, XenwireError
from xenwire.hosts import Domain, DomainInfo, DomainState, Host
from xenwire.hosts.base import resolve
from xenwire.types import DomId


class Guest(Domain):
    device_model = None

    def __init__(self, host, domid, name):
        self.host, self.domid, self.name = host, DomId(domid), name

    def _info(self):
        return DomainInfo(self.domid, self.name, uuid.UUID(int=self.domid), DomainState.RUNNING, 64, 1)

    async def info(self):
        self.host.on_info()
        return self._info()

    async def config(self):
        raise NotImplementedError

    attach = detach = remember = statistics = config

    async def channels(self):
        return []

    async def console(self):
        if self.host.console is None:
            raise NotFound("no console")
        return self.host.console

    async def pause(self):
        pass

    async def unpause(self):
        self.host.on_unpause()
        await asyncio.sleep(0)

    async def destroy(self):
        self.host.guests.remove(self)

    async def wait_state(self, states, timeout):
        return self._info()


class FakeHost(Host):
    uri = "test:"
    used_keys = frozenset({"name", "kernel"})

    def __init__(self):
        self.guests = []
        self.connections = 0
        self.console = None
        self.on_info = self.on_unpause = self.on_leave = lambda: None

    @contextlib.asynccontextmanager
    async def connect(self, uri):
        self.connections += 1
        yield self
        self.connections -= 1
        self.on_leave()

    async def domains(self):
        return [guest._info() for guest in self.guests]

    async def create(
        self,
        config,
        *,
        text=None,
        paused=False,
        timeout=60.0,
        progress=lambda _phase: None,
        channel_type=None,
    ):
        progress("registered")
        guest = Guest(self, len(self.guests) + 1, config.c_info.name)
        self.guests.append(guest)
        return guest

    async def plan(self, config, *, text=None, channel_type=None):
        return [f"write {config.c_info.name}", "start it"]

    async def find(self, reference):
        domid = resolve(reference, await self.domains()).domid
        return next(guest for guest in self.guests if guest.domid == domid)


@pytest.fixture
def host(monkeypatch):
    host = FakeHost()
    monkeypatch.setattr(commands, "connect", host.connect)
    return host


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "web.cfg"
    path.write_text('name = "web"\nkernel = "vmlinuz"\nmemroy = 1\n')
    return str(path)


def fail(*_):
    raise XenwireError("it failed")


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def test_create(host, config, capsys):
    assert run(["create", config]) == 0
    assert len(host.guests) == 1
    out, err = capsys.readouterr()
    assert out.startswith("name    web\n")
    assert "xl does not know memroy" in err
    assert "registered, 0." in err


def test_create_in_json_says_nothing_else(host, config, capsys):
    assert run(["create", config, "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["name"] == "web"
    assert err == ""
    host.on_info = fail
    assert run(["create", config, "--json"]) == 1
    out, err = capsys.readouterr()
    assert (out, json.loads(err)["error"]["message"]) == ("", "it failed")


def test_a_dry_run(host, config, capsys):
    assert run(["create", config, "--dry-run"]) == 0
    assert capsys.readouterr().out == "write web\nstart it\n"
    assert run(["create", config, "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"step": "write web"}, {"step": "start it"}]
    assert host.guests == []


def test_nothing_is_left_of_a_create_that_fails(host, config):
    host.on_info = fail
    assert run(["create", config]) == 1
    assert host.guests == []


def test_nothing_is_left_of_a_create_that_cannot_say_so(host, config, monkeypatch):
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr("sys.stdout", full)
        assert run(["create", config]) == 1
    assert host.guests == []


def test_nothing_is_left_of_a_create_that_is_interrupted(host, config):
    host.on_info = interrupt
    assert run(["create", config]) == 130
    assert host.guests == []


def test_a_late_interrupt_changes_nothing(host, config):
    host.on_leave = interrupt
    assert run(["create", config]) == 0
    assert [guest.name for guest in host.guests] == ["web"]
    assert run(["pause", "web"]) == run(["destroy", "web", "--yes"]) == 0
    assert host.guests == []


@pytest.fixture
def console(host, short_tmp):
    """A console that somebody listens at."""
    host.console = short_tmp / "console"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(host.console))
        listener.listen()
        yield listener


@pytest.fixture
def escape(tmp_path, monkeypatch):
    """Input that leaves the console at once."""
    (tmp_path / "keys").write_bytes(b"ls\r\x1d")
    with (tmp_path / "keys").open() as keys:
        monkeypatch.setattr("sys.stdin", keys)
        yield


def test_create_and_leave_the_console(host, console, config, escape, capfd):
    assert run(["create", config, "--console"]) == 0
    assert len(host.guests) == 1
    with console.accept()[0] as client:
        assert client.recv(9) == b"ls\r"


@pytest.mark.parametrize("trouble", [fail, interrupt])
def test_nothing_is_left_where_the_console_could_not_be_joined(host, console, config, escape, capfd, trouble):
    host.on_unpause = trouble
    assert run(["create", config, "--console"]) == (1 if trouble is fail else 130)
    assert host.guests == []


def test_nothing_is_left_where_there_is_no_console(host, config, escape):
    assert run(["create", config, "--console"]) == 3
    host.console = Path("/none")
    assert run(["create", config, "--console"]) == 3
    assert host.guests == []


@pytest.fixture
def terminal(monkeypatch):
    """A terminal on which the user answers; while he thinks, something may happen."""
    master, slave = os.openpty()
    with open(slave) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        yield master
    os.close(master)


def test_destroy_asks_while_nothing_is_connected(host, terminal, capsys):
    host.guests = [Guest(host, 1, "web\x1b[2J")]
    os.write(terminal, b"n\n")
    assert run(["destroy", "1"]) == 130
    assert "Destroy domain web\N{REPLACEMENT CHARACTER}[2J (domid 1)?" in capsys.readouterr().err
    assert len(host.guests) == 1
    os.write(terminal, b"y\n")
    assert run(["destroy", "1"]) == 0
    assert host.guests == []


def test_destroy_ends_what_was_confirmed_and_nothing_else(host, monkeypatch, terminal, capsys):
    host.guests = [Guest(host, 1, "web")]

    def confirm(*_, **__):
        assert host.connections == 0
        host.guests = [Guest(host, 2, "web")]

    monkeypatch.setattr("click.confirm", confirm)
    assert run(["destroy", "web"]) == 6
    assert "meanwhile it means domain web (domid 2)" in capsys.readouterr().err
    assert len(host.guests) == 1


def test_a_name_cannot_break_the_table(host, capsys):
    host.guests = [Guest(host, 1, "a\nb\x1b[2J\u202ec")]
    assert run(["list"]) == 0
    bad = "\N{REPLACEMENT CHARACTER}"
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        "NAME",
        f"a{bad}b{bad}[2J{bad}c",
    ]
    assert run(["list", "-o", "name"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
