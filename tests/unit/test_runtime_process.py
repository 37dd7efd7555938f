import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from xenwire.errors import Denied, NotFound, TimedOut, UsageError, XenwireError
from xenwire.runtime.daemon import Daemon
from xenwire.runtime.process import ExitStatus, ProcessRef, end, resolve_user, spawn

SLEEP = ["sleep", "600"]


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (0, "exited with status 0"),
        (3, "exited with status 3"),
        (-9, "killed by SIGKILL"),
        (-65, "killed by signal 65"),
    ],
)
def test_exit_status_in_words(status, text):
    assert str(ExitStatus(status)) == text


def test_a_reference_survives_its_text_form():
    me = ProcessRef.of(os.getpid())
    assert me is not None
    assert me.alive
    assert ProcessRef.parse(str(me)) == me


def test_a_reused_pid_is_another_process():
    me = ProcessRef.of(os.getpid())
    assert me is not None
    assert not ProcessRef(me.pid, me.start + 1).alive


@pytest.mark.parametrize("text", ["", "1", "1:", ":1", "-1:2", "a:b", "1:2:3", "¹:1"])
def test_nonsense_is_no_reference(text):
    with pytest.raises(UsageError):
        ProcessRef.parse(text)


async def test_the_end_of_another_process_is_noticed():
    process = await spawn(SLEEP)
    ref = ProcessRef.of(process.pid)
    assert ref is not None
    async with asyncio.timeout(10):
        await ref.end()
        assert not ref.alive
        await ref.wait()  # again is fine
    assert await process.wait() == -signal.SIGTERM


async def test_what_ignores_sigterm_is_killed():
    script = "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(600)"
    process = await spawn([sys.executable, "-c", script], stdout=asyncio.subprocess.PIPE)
    await process.stdout.readline()
    assert str(await end(process, grace=0.05)) == "killed by SIGKILL"
    process._transport.close()


@pytest.mark.parametrize("die_with_parent", [False, True])
async def test_a_missing_program(die_with_parent):
    with pytest.raises(NotFound, match="no such program"):
        await spawn(["/none/such"], die_with_parent=die_with_parent)


@pytest.mark.parametrize("die_with_parent", [False, True])
async def test_a_program_that_may_not_be_run(tmp_path, die_with_parent):
    (tmp_path / "plain").write_text("text")
    with pytest.raises(Denied):
        await spawn([tmp_path / "plain"], die_with_parent=die_with_parent)


@pytest.mark.parametrize("of_ours", [True, False])
async def test_ending_is_not_cut_short_by_cancellation(of_ours):
    """It may be called from a task that is cancelled already, and be cancelled itself."""
    script = "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(600)"
    process = await spawn([sys.executable, "-c", script], stdout=asyncio.subprocess.PIPE)
    await process.stdout.readline()
    ref = ProcessRef.of(process.pid)
    entered = asyncio.Event()

    async def work():
        try:
            entered.set()
            await asyncio.sleep(600)
        finally:
            await (end(process, 600) if of_ours else ref.end(600))

    task = asyncio.create_task(work())
    await entered.wait()
    for _ in range(2):
        task.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await asyncio.wait([task])
    assert task.cancelled()
    assert not ref.alive
    await process.wait()
    process._transport.close()


async def test_a_user_that_one_is_already():
    process = await spawn(["true"], user=f"{os.getuid()}:{os.getgid()}")
    assert await process.wait() == 0


async def test_it_dies_with_its_parent():
    script = (
        "import asyncio\n"
        "from xenwire.runtime.process import spawn\n"
        "async def main():\n"
        "    child = await spawn(['sleep', '600'], die_with_parent=True)\n"
        "    print(child.pid, flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    parent = await spawn([sys.executable, "-c", script], stdout=asyncio.subprocess.PIPE)
    pid = int(await parent.stdout.readline())
    # Until setpriv has become sleep the kernel knows nothing of the wish.
    async with asyncio.timeout(10):
        while Path(f"/proc/{pid}/comm").read_text() != "sleep\n":  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    child = ProcessRef.of(pid)
    assert child is not None
    parent.kill()
    async with asyncio.timeout(10):
        await child.wait()
    await parent.wait()
    parent._transport.close()


def test_users():
    assert resolve_user("12:34") == (12, 34, [])
    assert resolve_user("root")[0] == 0
    with pytest.raises(NotFound, match="no user"):
        resolve_user("nobody-by-this-name")


async def test_a_daemon_is_awaited_until_it_is_ready(tmp_path):
    script = "from xenwire.runtime.notify import ready; import time; ready(); time.sleep(600)"
    daemon = await Daemon.start_ready("it", [sys.executable, "-c", script], tmp_path / "log", 10)
    await daemon.end()
    assert str(await daemon.wait()) == "killed by SIGTERM"


async def test_a_daemon_that_ends_early_shows_its_last_words(tmp_path):
    script = "import sys; sys.exit('no can do')"
    with pytest.raises(XenwireError) as caught:
        await Daemon.start_ready("it", [sys.executable, "-c", script], tmp_path / "log", 10)
    assert caught.value.reason == "it exited with status 1: no can do"
    assert str(tmp_path / "log") in (caught.value.hint or "")


async def test_a_daemon_that_is_never_ready(tmp_path):
    with pytest.raises(TimedOut, match=r"not ready after 0\.05 s"):
        await Daemon.start_ready("it", SLEEP, tmp_path / "log", 0.05)


async def test_a_daemon_that_does_not_exist(tmp_path):
    with pytest.raises(NotFound):
        Daemon.start("it", ["/none/such"], tmp_path / "log")
