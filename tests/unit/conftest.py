"""What several unit tests need."""

import asyncio
import contextlib

import pytest

from xenwire.xenstore import Store
from xenwire.xenstored import server


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
