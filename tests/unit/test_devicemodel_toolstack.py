"""Waiting for a device model that does not come to `running`: a script in its place."""

import asyncio

import pytest

from xenwire.devicemodel.nodes import DeviceModelNodes
from xenwire.devicemodel.toolstack import DeviceModel
from xenwire.errors import NotFound, TimedOut, XenwireError
from xenwire.runtime.daemon import Daemon
from xenwire.types import DomId

NODES = DeviceModelNodes(DomId(3))


@pytest.fixture
def model(store, short_tmp):
    return DeviceModel(store, DomId(3), short_tmp)


@pytest.fixture
async def started(short_tmp):
    """Start a shell script as a device model."""
    daemons = []

    def start(script):
        daemons.append(Daemon.start("device model of 'web'", ["sh", "-c", script], short_tmp / "log"))
        return daemons[-1]

    yield start
    for daemon in daemons:
        await daemon.end()


@pytest.mark.parametrize(("script", "status"), [("echo bye", 0), ("echo bye; exit 3", 3)])
async def test_one_that_ends_has_failed_whatever_its_status(model, started, script, status):
    """At once: its status says nothing of whether it serves."""
    async with asyncio.timeout(10):
        with pytest.raises(XenwireError) as caught:
            await model.wait_running(started(script), timeout=60)
    assert str(caught.value) == (
        f"the device model of domain 3 did not start: device model of 'web' exited with status {status}: bye"
    )


async def test_one_that_has_left_a_reason_is_told_by_it(model, store, started):
    await store.write(NODES.failure, NotFound("cannot find QEMU", reason="no /none/qemu").as_json())
    with pytest.raises(NotFound, match="cannot find QEMU: no /none/qemu"):
        await model.wait_running(started("exit 1"), timeout=60)


async def test_one_that_hangs_is_shown_with_its_last_words(model, store, short_tmp, started):
    (short_tmp / "log").write_text("one\ntwo\nthree\nwaiting for the flux capacitor\n")
    await store.write(NODES.state, "paused")
    with pytest.raises(TimedOut) as caught:
        await model.wait_running(started("exec sleep 60"), timeout=0.1)
    assert str(caught.value).splitlines() == [
        f"the device model of domain 3 did not start: {NODES.state} was not 'running' after 0.1 s",
        "two",
        "three",
        "waiting for the flux capacitor",
    ]
