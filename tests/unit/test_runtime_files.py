import asyncio
import os
import stat

import pytest

from xenwire.errors import Denied, TimedOut, XenwireError
from xenwire.runtime import places
from xenwire.runtime.files import tail, write_atomic
from xenwire.runtime.lock import FileLock
from xenwire.runtime.race import before


def test_a_write_is_whole_or_not_there(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomic(path, b"first", 0o640)
    assert path.read_bytes() == b"first"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640

    def full(_fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomic(path, b"second")
    assert path.read_bytes() == b"first"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_the_end_of_a_log(tmp_path):
    log = tmp_path / "log"
    assert tail(log) == []
    log.write_bytes(b"".join(b"line %d\n" % n for n in range(100_000)))
    assert tail(log, 2) == ["line 99998", "line 99999"]


async def test_a_lock_is_held_by_one(tmp_path):
    lock = FileLock(tmp_path / "lock")
    async with lock.held(1):
        with pytest.raises(TimedOut, match="another process holds"):
            async with lock.held(0.05):
                pass
    async with lock.held(0):
        pass


async def test_a_lock_goes_to_the_next(tmp_path):
    lock, order = FileLock(tmp_path / "lock"), []

    async def hold(name):
        async with lock.held(10):
            order.append(name)
            await asyncio.sleep(0)
            order.append(name)

    await asyncio.gather(*(hold(name) for name in "abc"))
    assert all(order[i] == order[i + 1] for i in (0, 2, 4))


async def test_before():
    done = asyncio.get_running_loop().create_future()
    done.set_result(1)
    assert await before(done, asyncio.sleep(600))
    assert not await before(asyncio.sleep(600), asyncio.sleep(0))

    async def fail():
        raise XenwireError("no")

    with pytest.raises(XenwireError):
        await before(fail(), asyncio.sleep(600))
    with pytest.raises(XenwireError):
        await before(asyncio.sleep(600), fail())


def test_the_run_folder_is_ours_alone(short_tmp, monkeypatch):
    folder = places.run_dir()
    assert folder == short_tmp / "run"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert places.store_socket() == folder / "store.sock"


def test_a_run_folder_of_somebody_else(short_tmp, monkeypatch):
    (short_tmp / "real").mkdir()
    (short_tmp / "link").symlink_to(short_tmp / "real")
    monkeypatch.setenv("XENWIRE_RUN", str(short_tmp / "link"))
    with pytest.raises(Denied, match="not a folder of yours"):
        places.run_dir()


def test_a_run_folder_that_cannot_be_made(short_tmp, monkeypatch):
    (short_tmp / "file").touch()
    monkeypatch.setenv("XENWIRE_RUN", str(short_tmp / "file" / "run"))
    with pytest.raises(XenwireError, match="cannot make the folder"):
        places.run_dir()
