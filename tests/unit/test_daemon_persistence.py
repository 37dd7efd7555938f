"""The file of the channels that come back."""

import asyncio
import contextlib
import json

import pytest
from test_channels_persistent import UUID, channel, keep

from xenwire.channels.persistent import PERSISTENT, Remembered, forget, remembered
from xenwire.daemon import persistence


@pytest.fixture
async def file(store, tmp_path):
    """The file, kept up to date."""
    path = tmp_path / "channels.json"
    task = asyncio.create_task(persistence.keep(store, path))
    yield path
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def until(path, names):
    async with asyncio.timeout(5):
        while True:
            with contextlib.suppress(FileNotFoundError):
                data = path.read_text()
                found = json.loads(data).get(str(UUID), {})
                if [each["name"] for each in found.values()] == names:
                    return data
            await asyncio.sleep(0.005)


async def test_it_has_what_is_remembered_for_good(store, file):
    await keep(store, Remembered(channel("a")), Remembered(channel("b", 2), for_good=False))
    data = await until(file, ["a"])
    assert file.stat().st_mode & 0o777 == 0o600
    await store.transact(lambda t: forget(t, UUID, "a"))
    await until(file, [])
    file.write_text(data)
    await store.rm(PERSISTENT)
    await persistence.load(store, file)
    assert [each.channel.name for each in await remembered(store, UUID)] == ["a"]


async def test_a_store_that_knows_better(store, tmp_path):
    await keep(store, Remembered(channel("new")))
    (tmp_path / "f").write_text(json.dumps({str(UUID): {"2": {"name": "old"}}}))
    await persistence.load(store, tmp_path / "f")
    assert [each.channel.name for each in await remembered(store, UUID)] == ["new"]


@pytest.mark.parametrize("data", [b"", b"\xff", b"[]", b'{"a": 1}', b'{"a": {"1": {}}}', b"[" * 10000])
async def test_a_damaged_file_is_set_aside(store, tmp_path, data):
    path = tmp_path / "channels.json"
    path.write_bytes(data)
    await persistence.load(store, path)
    assert not path.exists()
    assert path.with_suffix(".damaged").read_bytes() == data


async def test_no_file_is_fine(store, tmp_path):
    await persistence.load(store, tmp_path / "none")
