"""A device model that libxl has started: a process of its own, told by its pid, with its arguments."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from xenwire.devicemodel.control import PciAddress
from xenwire.devicemodel.libxls_own import takes_commands
from xenwire.devicemodel.toolstack import DeviceModel
from xenwire.errors import Conflict, Unreachable
from xenwire.types import DomId

DOMID = DomId(3)
PID = "/local/domain/3/image/device-model-pid"


@pytest.fixture
def model(store, short_tmp):
    return DeviceModel(store, DOMID, short_tmp, libxls=short_tmp)


@pytest.fixture
def started():
    """Start a process that has these arguments."""
    processes = []

    def start(*arguments):
        script = "import sys; print(flush=True); sys.stdin.read()"
        process = subprocess.Popen(
            [sys.executable, "-c", script, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        processes.append(process)
        process.stdout.readline()
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("arguments", [("-xen-domid", "3", "-S"), ("-d", "3", "-nographic")])
async def test_it_is_known_by_its_pid_and_its_arguments(model, store, started, arguments):
    process = started(*arguments)
    await store.write(PID, str(process.pid))
    await store.write("/local/domain/0/device-model/3/state", "running")
    status = await model.status()
    assert (status.pid, status.qemu, status.state) == (process.pid, process.pid, "running")
    assert (status.runstate, status.clients) == (None, None)  # there is no monitor
    assert status.memory > 1 << 20
    process.send_signal(signal.SIGKILL)
    process.wait()
    status = await model.status()
    assert (status.pid, status.memory, status.uptime) == (None, None, None)


@pytest.mark.parametrize("arguments", [(), ("-xen-domid", "33"), ("-xen-domid", "13", "x3")])
async def test_another_process_of_its_pid_is_none(model, store, started, arguments):
    await store.write(PID, str(started(*arguments).pid))
    assert (await model.status()).pid is None


@pytest.mark.parametrize("pid", ["", "x", "-1", "0", "99999999999999999999", str(os.getpid())])
async def test_nonsense_is_none(model, store, pid):
    await store.write(PID, pid)
    assert (await model.status()).pid is None


async def test_its_monitor_is_where_libxl_has_it(model, short_tmp):
    with pytest.raises(Unreachable, match="domain 3 has no monitor"):
        await model.monitor()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(short_tmp / "qmp-libxl-3"))
        assert await model.monitor() == short_tmp / "qmp-libxl-3"


async def test_where_there_is_no_libxl_its_monitors_are_not_ours(store, short_tmp):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(short_tmp / "qmp-libxl-3"))
        with pytest.raises(Unreachable, match="domain 3 has no monitor"):
            await DeviceModel(store, DOMID, short_tmp).monitor()


async def test_a_qemu_itself_takes_no_commands(model, store, started):
    await store.write(PID, str(started("-xen-domid", "3").pid))
    await store.write("/libxl/3/dm-version", "qemu_xen")
    with pytest.raises(Conflict, match="it is a QEMU that libxl has started"):
        await model.control.remove_pci(PciAddress(0, 0, 5, 0))


@pytest.mark.parametrize(
    ("version", "takes"), [(None, True), ("qemu_xen_traditional", True), ("qemu_xen", False)]
)
async def test_where_no_version_is_said_it_is_the_traditional_one(store, version, takes):
    """As for libxl: such a domain was made before there was another."""
    if version is not None:
        await store.write("/libxl/3/dm-version", version)
    assert await takes_commands(store, DOMID) is takes


async def test_its_backends_are_told_with_those_that_it_does_not_list(model, store, short_tmp):
    for type_ in ("9pfs", "vkbd", "qusb"):
        await store.mkdir(f"/local/domain/0/device-model/3/backends/{type_}")
    assert (await model.backends()).types == ["9pfs", "console", "qdisk", "qnic", "qusb", "vkbd"]
    assert (await model.status()).backends == await model.backends()
    assert not (await DeviceModel(store, DOMID, short_tmp).backends()).supports("console")
