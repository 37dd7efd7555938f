"""What a device model does with a command, on a real QEMU.

Its PCI devices are disks here: QEMU takes what should be the host's address for their serial number.
"""

import asyncio

import pytest

from xenwire.devicemodel.actions import Actions, Answer
from xenwire.devicemodel.control import Command
from xenwire.qemu.process import Qemu
from xenwire.qemu.program import find_qemu

pytestmark = pytest.mark.qemu

ADDRESS = "0000:03:00.0"
NAME = "pci-pt-03_00.0"
INSERTED, REMOVED = "pci-inserted", "pci-removed"


@pytest.fixture
async def qemu(tmp_path):
    """A machine whose guest never runs, and so never gives anything back."""
    machine = ["-machine", "pc", "-nodefaults", "-display", "none"]
    async with await Qemu.start(find_qemu(), machine, log=tmp_path / "log") as qemu:
        yield qemu


@pytest.fixture
def actions(qemu, tmp_path, monkeypatch):
    monkeypatch.setattr("xenwire.devicemodel.actions._RELEASE_TIMEOUT", 0.3)
    return Actions(qemu.qmp, tmp_path / "saved", ("nvme", "serial"))


async def peripherals(qemu):
    listed = await qemu.qmp.execute("qom-list", path="/machine/peripheral")
    return [each["name"] for each in listed if each["type"].startswith("child")]


async def lets_go(qemu):
    """What a guest does with a device that it is asked for, the firmware does at a reset."""
    await qemu.qmp.execute("system_reset")


@pytest.mark.parametrize(
    ("where", "devfn"), [("", None), ("@100", None), ("@28", "0x28"), ("@f8", "0xf8"), ("@38,a=b", "0x38")]
)
async def test_a_device_goes_where_the_toolstack_wants_it(qemu, actions, where, devfn):
    answer = await actions.carry_out(Command.PCI_INSERT, f"{ADDRESS}{where},msitranslate=0,power_mgmt=0")
    assert answer.state == INSERTED
    assert devfn in (None, answer.parameter)
    (bus,) = await qemu.qmp.execute("query-pci")
    (found,) = [device for device in bus["devices"] if device["qdev_id"] == NAME]
    assert answer.parameter == f"0x{found['slot'] << 3 | found['function']:02x}"
    told = await qemu.qmp.execute("qom-get", path=f"/machine/peripheral/{NAME}", property="serial")
    assert told == ADDRESS


async def test_a_place_that_is_taken(qemu, actions):
    answer = await actions.carry_out(Command.PCI_INSERT, f"{ADDRESS}@00")
    assert answer.state == "pci-insert-failed"
    assert "PCI: slot 0 function 0 not available" in answer.parameter
    assert await peripherals(qemu) == []


async def test_permissive_is_said_where_it_is_wanted(actions):
    """A disk knows no such property, and so shows that it was said."""
    answer = await actions.carry_out(Command.PCI_INSERT, f"{ADDRESS},permissive=1")
    assert answer == Answer("pci-insert-failed", "Property 'nvme.permissive' not found")
    assert (await actions.carry_out(Command.PCI_INSERT, f"{ADDRESS},permissive=0")).state == INSERTED


@pytest.mark.parametrize("text", ["", "5", "0000:00:20.0", "0000:00:05.8", "0000:00:05.0@", "x" * 4000])
async def test_what_is_no_device_is_refused_at_once(actions, text):
    async with asyncio.timeout(1):
        for command, failed in (
            (Command.PCI_INSERT, "pci-insert-failed"),
            (Command.PCI_REMOVE, "pci-remove-failed"),
        ):
            answer = await actions.carry_out(command, text)
            assert answer.state == failed
            assert answer.parameter.startswith("expected DDDD:BB:DD.F") or "0 to 1f" in answer.parameter


async def test_a_device_that_is_there_already_stays(qemu, actions):
    first = await actions.carry_out(Command.PCI_INSERT, ADDRESS)
    answer = await actions.carry_out(Command.PCI_INSERT, ADDRESS)
    assert answer == Answer("pci-insert-failed", f"Duplicate device ID '{NAME}'")
    assert await peripherals(qemu) == [NAME]
    assert f"0x{await actions._devfn(NAME):02x}" == first.parameter


async def test_a_guest_that_does_not_give_back(qemu, actions):
    """However often it is asked: QEMU refuses to ask again, and that is no other failure."""
    await actions.carry_out(Command.PCI_INSERT, ADDRESS)
    stays = Answer("pci-remove-failed", "the guest has not given it back within 0.3 s")
    assert await actions.carry_out(Command.PCI_REMOVE, ADDRESS) == stays
    assert await actions.carry_out(Command.PCI_REMOVE, ADDRESS) == stays
    assert await peripherals(qemu) == [NAME]
    await lets_go(qemu)
    answer = await actions.carry_out(Command.PCI_REMOVE, ADDRESS)
    assert answer == Answer("pci-remove-failed", f"the guest has no device {ADDRESS}")


@pytest.fixture
def patient(actions, monkeypatch):
    monkeypatch.setattr("xenwire.devicemodel.actions._RELEASE_TIMEOUT", 50.0)
    return actions


@pytest.fixture
def asked(qemu, monkeypatch):
    """Whether QEMU has been told to ask the guest for a device."""
    asked, execute = asyncio.Event(), qemu.qmp.execute

    async def heard(command, *arguments, **more):
        try:
            return await execute(command, *arguments, **more)
        finally:
            if command == "device_del":
                asked.set()

    monkeypatch.setattr(qemu.qmp, "execute", heard)
    return asked


async def is_given_back(qemu, actions, asked):
    removing = asyncio.create_task(actions.carry_out(Command.PCI_REMOVE, ADDRESS))
    await asked.wait()
    await lets_go(qemu)
    async with asyncio.timeout(20):
        assert await removing == Answer(REMOVED)
    assert await peripherals(qemu) == []


async def test_a_guest_that_gives_back(qemu, patient, asked, monkeypatch):
    """QEMU's event tells: it is not asked again before that."""
    monkeypatch.setattr("xenwire.devicemodel.actions._RETRY", 40.0)
    await patient.carry_out(Command.PCI_INSERT, ADDRESS)
    with qemu.qmp.events("DEVICE_DELETED") as events:
        await is_given_back(qemu, patient, asked)
        assert (await anext(events)).data["device"] == NAME


async def test_a_guest_that_gives_back_and_no_event_tells(qemu, patient, asked, monkeypatch):
    monkeypatch.setattr("xenwire.devicemodel.actions._RETRY", 0.05)
    events = qemu.qmp.events
    monkeypatch.setattr(qemu.qmp, "events", lambda *_: events("NO_SUCH_EVENT"))
    await patient.carry_out(Command.PCI_INSERT, ADDRESS)
    await is_given_back(qemu, patient, asked)


async def test_a_guest_that_somebody_else_has_asked(qemu, patient, asked):
    await patient.carry_out(Command.PCI_INSERT, ADDRESS)
    await qemu.qmp.execute("device_del", id=NAME)
    asked.clear()
    await is_given_back(qemu, patient, asked)


async def test_a_device_that_does_not_show_is_taken_away_again(tmp_path):
    """The toolstack hears that the guest has not got it, so it must not stay."""
    machine = ["-machine", "q35", "-nodefaults", "-display", "none", "-usb"]
    async with await Qemu.start(find_qemu(), machine, log=tmp_path / "log") as qemu:
        actions = Actions(qemu.qmp, tmp_path / "saved", ("usb-tablet", "serial"))
        answer = await actions.carry_out(Command.PCI_INSERT, "0000:03:00.0")
        assert answer == Answer("pci-insert-failed", "QEMU took it, and does not show it")
        assert await qemu.qmp.execute("qom-list", path="/machine/peripheral") == [
            {"name": "type", "type": "string"}
        ]
