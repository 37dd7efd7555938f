"""Programs that are no QEMU, or no healthy one."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from xenwire.errors import NotFound, TimedOut, Unreachable, XenwireError
from xenwire.qemu.process import Qemu


@pytest.fixture
def log(tmp_path):
    return tmp_path / "qemu.log"


@pytest.fixture
def program(tmp_path):
    """Make a program of a shell script, which tells its pid in the file `pid`."""

    def make(script, shell="/bin/sh"):
        path = tmp_path / "program"
        path.write_text(f"#!{shell}\n{script}\n")
        path.chmod(0o755)
        return path

    return make


SLEEP = "echo $$ >${0%/*}/pid; exec sleep 60"


def gone(pid):
    return not Path("/proc", pid.strip()).exists()


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo first; echo 'no such machine' >&2; exit 3", "exited with status 3: first\nno such machine"),
        ("echo bye; kill -KILL $$", "killed by SIGKILL: bye"),
        ("exit 0", "exited with status 0: it said nothing"),
    ],
)
async def test_a_program_that_ends_at_once_is_shown_with_its_last_words(program, log, script, reason):
    log.write_text("words of an earlier one\n")
    path = program(script)
    with pytest.raises(XenwireError) as caught:
        await Qemu.start(path, [], log=log)
    assert str(caught.value) == f"QEMU did not start: {path} {reason}"
    assert caught.value.hint == f"see its log: {log}"


async def test_a_program_that_never_answers(program, log, tmp_path):
    path = program(SLEEP)
    with pytest.raises(TimedOut) as caught:
        await Qemu.start(path, [], log=log, timeout=0.3)
    assert str(caught.value) == f"{path} is not ready: waited 0.3 s for the QMP greeting of {path}"
    assert str(log) in caught.value.hint
    assert gone((tmp_path / "pid").read_text())


async def test_a_program_that_hangs_is_shown_with_its_last_words(program, log, tmp_path):
    log.write_text("words of an earlier one\n")
    path = program(f"echo 'waiting for the flux capacitor'; {SLEEP}")
    with pytest.raises(TimedOut) as caught:
        await Qemu.start(path, [], log=log, timeout=2)
    assert caught.value.reason == (
        f"waited 2 s for the QMP greeting of {path}\nwaiting for the flux capacitor"
    )
    assert gone((tmp_path / "pid").read_text())


async def test_a_program_that_closes_its_monitor_and_stays(program, log, tmp_path):
    path = program(
        "import os, re, sys, time\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\n"
        "os.close(int(re.search('fd=([0-9]+)', sys.argv[2])[1]))\n"
        "time.sleep(60)",
        shell=sys.executable,
    )
    with pytest.raises(Unreachable, match=f"lost the monitor of {path}: it closed the connection"):
        await Qemu.start(path, [], log=log)
    assert gone((tmp_path / "pid").read_text())


async def test_a_start_that_is_cancelled_leaves_nothing(program, log, tmp_path):
    os.mkfifo(tmp_path / "pid")
    before = asyncio.all_tasks()
    start = asyncio.create_task(Qemu.start(program(SLEEP), [], log=log))
    pid = await asyncio.to_thread((tmp_path / "pid").read_text)
    start.cancel()
    await asyncio.wait([start])
    assert start.cancelled()
    assert gone(pid)
    assert asyncio.all_tasks() == before


async def test_a_user_who_does_not_exist(program, log):
    with pytest.raises(NotFound, match="no user 'no-such-user'"):
        await Qemu.start(program("exit 0"), [], log=log, user="no-such-user")


async def test_a_log_that_cannot_be_written(program, tmp_path):
    (tmp_path / "link").symlink_to("elsewhere")
    for bad in (tmp_path, tmp_path / "missing" / "log", tmp_path / "link"):
        with pytest.raises(XenwireError, match=f"its log {bad} cannot be written"):
            await Qemu.start(program("exit 0"), [], log=bad)
    assert not (tmp_path / "elsewhere").exists()
