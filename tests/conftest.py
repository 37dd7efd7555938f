"""What every test gets: folders of its own, so that no test sees another's store, sockets or logs."""

import asyncio
import contextlib
import shutil
import signal
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from xenwire.xenstore import Store
from xenwire.xenstored import server

# How long an example takes says nothing on a busy machine.
settings.register_profile("xenwire", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("xenwire")


@pytest.fixture
def short_tmp():
    """A folder whose path leaves room for the names of Unix sockets."""
    folder = Path(tempfile.mkdtemp(prefix="xw-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def private_run(monkeypatch, short_tmp):
    """A run folder of the test's own."""
    monkeypatch.setenv("XENWIRE_RUN", str(short_tmp / "run"))
    for name in ("XENSTORED_PATH", "XENWIRE_QEMU", "XENWIRE_HOST", "XENWIRE_DM_USER"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def own_signals():
    """Give pytest its Ctrl-C back after a command that ran in this process."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
async def store(short_tmp):
    """A client of a store of the test's own, whose socket is `store.sock` in its folder."""
    ready = asyncio.Event()
    daemon = asyncio.create_task(server.serve(short_tmp / "store.sock", ready=ready.set))
    await ready.wait()
    async with Store.connect(short_tmp / "store.sock") as store:
        yield store
    daemon.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await daemon
