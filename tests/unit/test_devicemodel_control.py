"""The control protocol of seed 001: its words, and the toolstack's end against all kinds of device models."""

import asyncio
import os
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenwire.devicemodel.control import PciAddress, PciInsertion
from xenwire.devicemodel.controller import Controller
from xenwire.devicemodel.nodes import DeviceModelNodes
from xenwire.errors import Conflict, TimedOut, Unreachable, UsageError, XenwireError
from xenwire.runtime.lock import FileLock
from xenwire.runtime.process import ProcessRef
from xenwire.types import DomId

NODES = DeviceModelNodes(DomId(3))
DEVICE = PciInsertion(PciAddress(0, 0, 5, 0))

ADDRESSES = st.builds(
    PciAddress, st.integers(0, 0xFFFF), st.integers(0, 0xFF), st.integers(0, 0x1F), st.integers(0, 7)
)
WORDS = st.text("abcxyz_019", min_size=1, max_size=8)


@given(ADDRESSES, st.none() | st.integers(0, 0xFF), st.lists(st.tuples(WORDS, WORDS), max_size=3))
def test_what_is_written_is_read_back(address, devfn, options):
    device = PciInsertion(address, devfn, tuple(options))
    assert PciInsertion.parse(str(device)) == device
    assert PciAddress.parse(str(address)) == address


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        # libxl's own (xen: tools/libs/light/libxl_pci.c)
        (
            "0000:00:05.0@30,msitranslate=0,power_mgmt=1",
            PciInsertion(PciAddress(0, 0, 5, 0), 0x30, (("msitranslate", "0"), ("power_mgmt", "1"))),
        ),
        ("0:0:5:0", PciInsertion(PciAddress(0, 0, 5, 0))),
        ("0000.00.1f.7@100", PciInsertion(PciAddress(0, 0, 31, 7))),
        ("0000:00:05.0,permissive,msitranslate=1", PciInsertion(PciAddress(0, 0, 5, 0))),
    ],
)
def test_spellings(text, wanted):
    assert PciInsertion.parse(text) == wanted


@pytest.mark.parametrize(
    "text", ["", "5", "0000:00:05", "0000:00:20.0", "0000:00:05.8", "0000:00:05.0@", "0000:00:05.0 "]
)
def test_what_is_no_device(text):
    with pytest.raises(UsageError):
        PciInsertion.parse(text)


class Model:
    """A device model that does as it is told to: what it writes for each command, in order."""

    def __init__(self, store, answers):
        self.store, self.answers = store, answers
        self.asked = []
        self.busy = asyncio.Event()

    async def run(self):
        await self.store.write(NODES.state, "running")
        async with self.store.watch(NODES.command) as changes:
            async for _ in changes:
                if word := await self.store.get_text(NODES.command):
                    self.asked.append((word, await self.store.get_text(NODES.parameter)))
                    await self.store.rm(NODES.command)
                    self.busy.set()
                    for key, value in self.answers.get(word, ()):
                        await self.store.write(NODES.root / key, value)


@asynccontextmanager
async def model(store, **answers):
    one = Model(store, {word.replace("_", "-"): answer for word, answer in answers.items()})
    task = asyncio.create_task(one.run())
    try:
        yield one
    finally:
        task.cancel()
        await asyncio.wait([task])


@pytest.fixture
def controller(store, short_tmp):
    async def process():
        return ProcessRef.of(os.getpid())

    return Controller(store, NODES, FileLock(short_tmp / "lock"), process)


async def test_a_device_is_inserted(store, controller):
    async with model(store, pci_ins=[("parameter", "0x28"), ("state", "pci-inserted")]) as asked:
        assert await controller.insert_pci(DEVICE) == 0x28
        assert asked.asked == [("pci-ins", "0000:00:05.0")]
    assert await store.get(NODES.state) == b"running"


async def test_a_device_is_removed(store, controller):
    async with model(store, pci_rem=[("state", "pci-removed")]) as asked:
        await controller.remove_pci(DEVICE.address)
        assert asked.asked == [("pci-rem", "0000:00:05.0")]
    assert await store.get(NODES.state) == b"running"


@pytest.mark.parametrize(
    "answer",
    [
        [("parameter", "no free slot"), ("state", "pci-insert-failed")],
        # qemu-xen-traditional says no more
        [("parameter", "no free slot")],
    ],
)
async def test_a_device_that_is_refused(store, controller, answer):
    async with model(store, pci_ins=answer):
        with pytest.raises(XenwireError, match="no free slot"):
            await controller.insert_pci(DEVICE, timeout=5)
    assert await store.get(NODES.state) == b"running"


async def test_an_answer_that_is_no_devfn(store, controller):
    async with model(store, pci_ins=[("parameter", "40"), ("state", "pci-inserted")]):
        with pytest.raises(XenwireError, match="40"):
            await controller.insert_pci(DEVICE, timeout=5)


async def test_save_and_resume(store, controller):
    async with model(store, save=[("state", "paused")], **{"continue": [("state", "running")]}) as asked:
        await controller.resume()  # nothing to do
        await controller.save()
        assert await store.get(NODES.state) == b"paused"
        await controller.resume()
        assert asked.asked == [("save", None), ("continue", None)]


async def test_a_save_that_fails(store, controller):
    """Seed 001 has no word for it, and libxl waits for this one; so do we, and the guest can go on."""
    answers = {"continue": [("state", "running")]}
    async with model(store, save=[("parameter", "disk full"), ("state", "paused")], **answers):
        with pytest.raises(XenwireError, match="disk full"):
            await controller.save()
        with pytest.raises(Conflict, match="paused"):
            await controller.add_usb("tablet")
        await controller.resume()
    assert await store.get(NODES.state) == b"running"


async def test_a_guest_that_does_not_go_on_is_still_paused(store, controller):
    answers = {"continue": [("parameter", "locked"), ("state", "continue-failed")]}
    async with model(store, save=[("state", "paused")], **answers):
        await controller.save()
        with pytest.raises(XenwireError, match="locked"):
            await controller.resume()
        assert await controller.paused()


async def test_a_stale_answer_is_none(store, controller, monkeypatch):
    """An earlier toolstack has not put `running` back: that is waited for, but not for ever."""
    monkeypatch.setattr("xenwire.devicemodel.controller._ABANDONED", 0.1)
    async with model(store, pci_rem=[("state", "pci-removed")]) as asked:
        await store.wait_for(NODES.state, lambda state: state == b"running", 5)
        await store.write(NODES.state, "pci-removed")
        with pytest.raises(TimedOut, match="not ready"):
            await controller.remove_pci(DEVICE.address, timeout=0.05)
        assert asked.asked == []
        await controller.remove_pci(DEVICE.address, timeout=5)
        assert len(asked.asked) == 1


async def test_a_command_that_is_cancelled_is_taken_back(store, controller):
    await store.write(NODES.state, "running")
    task = asyncio.create_task(controller.add_usb("tablet"))
    await store.wait_for(NODES.command, lambda word: word is not None, 5)
    task.cancel()
    await asyncio.wait([task])
    assert await store.get(NODES.command) is None


async def test_a_command_that_is_not_answered(store, controller):
    async with model(store):
        await store.wait_for(NODES.state, lambda state: state == b"running", 5)
        with pytest.raises(TimedOut, match="took the command"):
            await controller.remove_pci(DEVICE.address, timeout=0.2)
    assert await store.get(NODES.state) == b"running"


async def test_a_command_that_is_not_taken_is_taken_back(store, controller):
    await store.write(NODES.state, "running")
    with pytest.raises(TimedOut, match="not taken"):
        await controller.add_usb("tablet", timeout=0.2)
    assert await store.get(NODES.command) is None


async def test_a_device_model_that_dies(store, short_tmp):
    child = await asyncio.create_subprocess_exec("sleep", "60")
    process = ProcessRef.of(child.pid)

    async def the_process():
        return process

    controller = Controller(store, NODES, FileLock(short_tmp / "lock"), the_process)
    async with model(store) as asked, asyncio.TaskGroup() as tasks:
        removing = tasks.create_task(_failing(controller.remove_pci(DEVICE.address)))
        await asked.busy.wait()
        child.kill()
        await child.wait()
        async with asyncio.timeout(1):
            assert isinstance(await removing, Unreachable)
    with pytest.raises(Unreachable):
        await controller.save()


async def _failing(work):
    try:
        await work
    except XenwireError as error:
        return error


async def test_two_toolstacks_wait_for_each_other(store, controller, short_tmp):
    other = Controller(store, NODES, FileLock(short_tmp / "lock"), controller._process)
    answers = [("parameter", "0x28"), ("state", "pci-inserted")]
    async with model(store, pci_ins=answers, pci_rem=[("state", "pci-removed")]) as asked:
        await asyncio.gather(
            *(one.insert_pci(DEVICE) for one in (controller, other) * 5),
            *(one.remove_pci(DEVICE.address) for one in (controller, other) * 5),
        )
        assert len(asked.asked) == 20
    assert await store.get(NODES.state) == b"running"


async def test_log_dirty(store, controller):
    asked, answer = NODES.log_dirty / "cmd", NODES.log_dirty / "ret"

    async def echo():
        async with store.watch(asked) as changes:
            async for _ in changes:
                if word := await store.get_text(asked):
                    await store.write(answer, word)

    task = asyncio.create_task(echo())
    for enable in (True, False):
        await controller.log_dirty(enable)
        assert await store.names(NODES.log_dirty) == []
    task.cancel()
    with pytest.raises(TimedOut):
        await controller.log_dirty(True, timeout=0.05)
    assert await store.names(NODES.log_dirty) == []
