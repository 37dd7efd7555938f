"""The device model's end of the protocol in this process: its store, and a real QEMU."""

import asyncio
import contextlib
import json
import logging
import os
import socket
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from xenwire.devicemodel.agent import Agent
from xenwire.devicemodel.control import PciAddress, PciInsertion
from xenwire.devicemodel.controller import Controller
from xenwire.devicemodel.nodes import DeviceModelNodes
from xenwire.devicemodel.setup import Setup
from xenwire.errors import Conflict, NotFound, TimedOut, Unreachable, XenwireError
from xenwire.qemu.program import find_qemu
from xenwire.qemu.qmp.broker.access import Access
from xenwire.qemu.qmp.connect import connect_unix
from xenwire.runtime.lock import FileLock
from xenwire.runtime.process import ProcessRef
from xenwire.types import DomId
from xenwire.xenstore import Store
from xenwire.xenstore.perms import Permissions
from xenwire.xenstored.server import Daemon

pytestmark = pytest.mark.qemu

DOMID = DomId(3)
NODES = DeviceModelNodes(DOMID)
PID = "/local/domain/3/image/device-model-pid"
VM = "/local/domain/3/vm"
DEVICE = PciInsertion(PciAddress(0, 3, 0, 0))
BARE = ("-machine", "pc", "-nodefaults", "-display", "none")


@pytest.fixture
async def domain(store):
    """The store of a domain whose device model is to come."""
    await store.write(VM, "/vm/3")
    return store


class Watching:
    """A backend that looks into the store before QEMU is started."""

    def __init__(self, look):
        self.look = look

    async def open(self, launch):
        await self.look()

    async def nothing(self, *_):
        pass

    publish = event = follow = close = nothing


def agent(store, folder, *, program=None, prepare=None, opened=None, timeout=60.0):
    """A device model whose PCI devices are disks (see test_dm_actions)."""

    async def setup():
        if prepare is not None:
            await prepare()
        return Setup(
            program or find_qemu(),
            BARE,
            folder / "saved",
            advertised=["console", "qdisk"],
            passthrough=("nvme", "serial"),
        )

    backends = [] if opened is None else [Watching(opened)]
    return Agent(store, DOMID, setup, log=folder / "qemu.log", backends=backends, timeout=timeout)


@asynccontextmanager
async def running(agent, store):
    """Run a device model for the length of the block."""
    task = asyncio.create_task(agent.run())
    try:
        await store.wait_for(NODES.agent, lambda told: told is not None, 20)
        await store.wait_for(NODES.state, lambda state: state == b"running", 20)
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def fails(agent):
    """Run a device model that fails, and give its error."""
    with pytest.raises(XenwireError) as caught:
        await agent.run()
    return caught.value


@pytest.fixture
def controller(store, short_tmp):
    async def process():
        return ProcessRef.of(os.getpid())

    return Controller(store, NODES, FileLock(short_tmp / "lock"), process)


# What it finds, and in which order it tells


async def test_what_an_earlier_one_left_or_was_asked_is_removed_not_obeyed(domain, short_tmp):
    await domain.write(NODES.state, "running")
    await domain.write(NODES.command, "save")
    await domain.write(NODES.parameter, "0000:03:00.0")
    await domain.write(NODES.log_dirty / "cmd", "enable")
    await domain.write(NODES.runstate, "running")
    await domain.write(NODES.failure, "{}")
    await domain.mkdir(NODES.backends / "qusb")
    seen = []

    async def look():
        seen.append(await domain.names(NODES.root))

    async with running(agent(domain, short_tmp, opened=look), domain):
        assert seen == [["agent", "backends"]]
        await domain.write(NODES.command, "usb-add")
        await domain.wait_for(NODES.last_command, lambda told: told is not None)
        # Commands go one after another, so an older one would have been the first.
        assert await domain.get(NODES.last_command) == b"usb-add : usb-add-failed"
        assert await domain.get(NODES.runstate) == b"prelaunch"
        assert await domain.names(NODES.backends) == ["console", "qdisk"]
        assert await domain.names(NODES.log_dirty) == []
        assert not (short_tmp / "saved").exists()


async def test_its_pid_and_its_backends_are_there_before_it_is_running(domain, short_tmp):
    seen = []

    async def look():
        seen.append(await domain.get_all([PID, NODES.backends / "qdisk", NODES.state]))

    async with running(agent(domain, short_tmp, opened=look), domain):
        assert seen == [[b"%d" % os.getpid(), b"", None]]


async def test_a_libxl_that_has_a_monitor_made_is_answered_there_before_it_is_told(domain, short_tmp):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(short_tmp / "libxl"))
        listener.listen()

        async def setup():
            fd = os.dup(listener.fileno())
            return Setup(find_qemu(), BARE, short_tmp / "saved", listening={fd: Access.FULL})

        task = asyncio.create_task(Agent(domain, DOMID, setup, log=short_tmp / "qemu.log").run())
        try:
            await domain.wait_for(NODES.runstate, lambda told: told is not None, 20)
            path = await domain.wait_for(NODES.qmp, lambda told: told is not None, 20)
            async with connect_unix(Path(path.decode())) as other:
                await other.execute("query-status")
            async with connect_unix(short_tmp / "libxl") as libxl:
                assert (await libxl.execute("query-status"))["status"] == "prelaunch"
                assert await domain.get(NODES.state) is None
            await domain.wait_for(NODES.state, lambda state: state == b"running", 20)
        finally:
            task.cancel()
            await asyncio.wait([task])


async def test_who_is_refused_leaves_nothing_of_what_it_prepared(domain, short_tmp):
    prepared, ended = asyncio.Event(), []

    async def prepare():
        try:
            prepared.set()
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    await domain.write(NODES.agent, str(ProcessRef.of(os.getpid())))
    assert isinstance(await fails(agent(domain, short_tmp, prepare=prepare)), Conflict)
    assert prepared.is_set()
    assert ended == [True]
    assert await domain.names(NODES.root) == ["agent"]


class StubDomains(Daemon):
    """A store whose clients, from now on, are a domain without privileges."""

    domid = 0

    def add(self, client):
        connection = self.engine.connect(self.domid)
        self._clients[connection] = client
        return connection


@pytest.fixture
async def stub_domain(short_tmp):
    """The store as a stub domain sees it: `$QEMU` is its own, and it may give nothing to domain 0."""
    daemon, path = StubDomains(), short_tmp / "stub.sock"
    server = await asyncio.get_running_loop().create_unix_server(daemon.client, str(path))
    async with Store.connect(path) as store:
        for node in (NODES.root, "/local/domain/3"):
            await store.mkdir(node)
            await store.set_perms(node, Permissions.parse("n7", "r3"))
        await store.write(VM, "/vm/3")
    daemon.domid = 7
    async with Store.connect(path) as store:
        yield store
    server.close()
    daemon.close()


async def test_permissions_that_are_refused_are_no_reason_to_end(stub_domain, short_tmp, caplog):
    async with running(agent(stub_domain, short_tmp), stub_domain):
        assert await stub_domain.names(NODES.backends) == ["console", "qdisk"]
        assert (await stub_domain.get_perms(NODES.backends / "qdisk")).owner == 7
    (warning,) = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert warning.getMessage().startswith(f"cannot set the permissions of {NODES.backends}")


# Commands


@pytest.mark.parametrize("word", ["", "c", "p", "usb", "sav", "save ", "pci-insert", "\0", "é"])
async def test_only_whole_words_are_commands(domain, short_tmp, word):
    """qemu-xen-traditional took a prefix for the first command that has it, and nothing for `save`."""
    async with running(agent(domain, short_tmp), domain):
        await domain.write(NODES.parameter, "0000:03:00.0")
        await domain.write(NODES.command, word)
        told = f"unknown: {word.encode()!r}".encode()
        assert await domain.wait_for(NODES.last_command, lambda value: value is not None) == told
        assert await domain.get_all([NODES.command, NODES.parameter, NODES.state, NODES.runstate]) == [
            None,
            b"0000:03:00.0",
            b"running",
            b"prelaunch",
        ]


async def test_the_parameter_is_there_when_the_state_changes(domain, short_tmp):
    """Whoever sees the state finds the answer, whenever it looks; and hears of it first."""
    async with running(agent(domain, short_tmp), domain), domain.watch(NODES.root) as changes:
        await domain.write(NODES.parameter, str(DEVICE))
        await domain.write(NODES.command, "pci-ins")
        heard = []
        async with asyncio.timeout(20):
            async for path in changes:
                heard.append(str(path).rpartition("/")[2])
                state, parameter = await domain.get_all([NODES.state, NODES.parameter])
                if state == b"pci-inserted":
                    assert parameter is not None
                    assert parameter.startswith(b"0x")
                else:
                    assert parameter in (None, str(DEVICE).encode())
                if heard[-1] == "state" and state == b"pci-inserted":
                    break
        answered = heard[len(heard) - 1 - heard[::-1].index("command") :]
        assert answered.index("parameter") < answered.index("state")


async def test_a_guest_that_keeps_a_device(domain, short_tmp, controller, monkeypatch):
    """The toolstack hears why, and the next command finds the device model ready."""
    monkeypatch.setattr("xenwire.devicemodel.actions._RELEASE_TIMEOUT", 0.2)
    async with running(agent(domain, short_tmp), domain):
        await controller.insert_pci(DEVICE)
        for _ in range(2):
            with pytest.raises(XenwireError, match="the guest has not given it back"):
                await controller.remove_pci(DEVICE.address)
            assert await domain.get(NODES.state) == b"running"


async def test_a_guest_that_takes_its_time(domain, short_tmp, controller):
    """The toolstack waits for it. A reset has it let go, once the device model has asked."""
    async with running(agent(domain, short_tmp), domain):
        await controller.insert_pci(DEVICE)
        removing = asyncio.create_task(controller.remove_pci(DEVICE.address))
        async with connect_unix(short_tmp / "run" / "qmp-3.sock") as qmp, asyncio.timeout(20):
            while not removing.done():
                await qmp.execute("system_reset")
        await removing
        assert await domain.get(NODES.state) == b"running"
        assert await domain.get(NODES.last_command) == b"pci-rem 0000:03:00.0: pci-removed"


async def test_a_toolstack_that_waits_no_longer_than_it_wants(domain, short_tmp, controller):
    async with running(agent(domain, short_tmp), domain):
        await controller.insert_pci(DEVICE)
        with pytest.raises(TimedOut, match=r"took the command, and has not answered within 3 s"):
            await controller.remove_pci(DEVICE.address, timeout=3)
        assert await domain.get(NODES.state) == b"running"


class Ear(logging.Handler):
    """Waits for a line of a log."""

    def __init__(self):
        super().__init__()
        self.lines = asyncio.Queue()

    def emit(self, record):
        self.lines.put_nowait(record.getMessage())


@pytest.fixture
def ear():
    logger, ear = logging.getLogger("xenwire.devicemodel.agent"), Ear()
    logger.addHandler(ear)
    yield ear
    logger.removeHandler(ear)


@pytest.mark.parametrize("nonsense", [b"", b"enabled", b"\xff\0", b"x" * 4000])
async def test_nonsense_for_log_dirty_gets_no_answer_and_does_no_harm(
    domain, short_tmp, controller, ear, nonsense
):
    """qemu-xen-traditional exits."""
    async with running(agent(domain, short_tmp), domain):
        await domain.write(NODES.log_dirty / "cmd", nonsense)
        async with asyncio.timeout(20):
            while not (await ear.lines.get()).startswith("unknown log-dirty command"):
                pass
        assert await domain.names(NODES.log_dirty) == ["cmd"]
        for enable in (True, False):
            await controller.log_dirty(enable)
        assert await domain.get(NODES.state) == b"running"


# Failures


async def phase_told(domain, failure):
    """The phase is with the error, here and for the toolstack, whose error is the same."""
    told = XenwireError.from_dict(json.loads(await domain.read_text(NODES.failure)))
    assert (type(told), str(told)) == (type(failure), str(failure))
    assert told.context["phase"] == failure.context["phase"]
    assert await domain.get_all([NODES.state, NODES.runstate]) == [None, b"crashed"]
    return told.context["phase"]


async def refuse():
    raise NotFound("cannot find QEMU", reason="no /none/qemu")


async def test_it_fails_while_preparing(domain, short_tmp):
    failure = await fails(agent(domain, short_tmp, prepare=refuse))
    assert isinstance(failure, NotFound)
    assert await phase_told(domain, failure) == "preparing"


async def test_it_fails_while_opening_the_host_ends(domain, short_tmp):
    failure = await fails(agent(domain, short_tmp, opened=refuse))
    assert await phase_told(domain, failure) == "opening the host ends of its channels"


@pytest.fixture
def script(short_tmp):
    """Make a program to be started in QEMU's place."""

    def make(text):
        path = short_tmp / "qemu"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    return make


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("echo 'no such machine'; exit 3", "exited with status 3: no such machine"),
        ("exit 0", "exited with status 0: it said nothing"),
        ("echo 'it takes long'; exec sleep 60", "waited 2 s for the QMP greeting"),
    ],
)
async def test_it_fails_while_starting_qemu(domain, short_tmp, script, text, words):
    failure = await fails(agent(domain, short_tmp, program=script(text), timeout=2))
    assert words in failure.reason
    assert "it takes long" in failure.reason or "takes long" not in text
    assert await phase_told(domain, failure) == "starting QEMU"


async def test_it_fails_while_serving(domain, short_tmp):
    """QEMU is killed, and has no time to say why."""
    model = agent(domain, short_tmp)
    async with running(model, domain) as serving:
        qemu = ProcessRef.parse(await domain.read_text(NODES.qemu))
        os.kill(qemu.pid, 9)
        await asyncio.wait([serving], timeout=20)
        failure = serving.exception()
    assert failure.reason == "QEMU killed by SIGKILL"
    assert await phase_told(domain, failure) == "serving"
    assert model.lost


async def test_the_words_of_a_qemu_that_ends_later_are_told(domain, short_tmp, script):
    """What it said long before its end is what it has died of, for all that anybody knows."""
    program = script(
        f"echo 'the flux capacitor is hot' >&2\n{find_qemu()} \"$@\"\necho 'it burns' >&2; exit 7"
    )
    async with running(agent(domain, short_tmp, program=program), domain) as serving:
        with contextlib.suppress(Unreachable):
            async with connect_unix(short_tmp / "run" / "qmp-3.sock") as qmp:
                await qmp.execute("quit")
        await asyncio.wait([serving], timeout=20)
        failure = serving.exception()
    assert failure.reason == "QEMU exited with status 7\nthe flux capacitor is hot\nit burns"
    assert await phase_told(domain, failure) == "serving"
