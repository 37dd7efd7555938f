"""What several unit tests of channels need."""

import pytest
from channel_host import Backend
from frontend import Guest


@pytest.fixture
async def backend(store, tmp_path):
    """What serves channels, for guests that live in the folder `tmp_path`."""
    backend = Backend(store, tmp_path)
    await backend.start()
    yield backend
    await backend.stop()


@pytest.fixture
async def guest(store, tmp_path):
    """The frontend of channel 1 of domain 5."""
    guest = Guest(store, tmp_path)
    yield guest
    guest.close()
