"""The lab itself: what runs in it, how it starts and ends."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from xenwire.errors import Conflict, NotFound, TimedOut
from xenwire.lab import Lab, Profile, Tty
from xenwire.runtime.process import ProcessRef, processes_with

pytestmark = pytest.mark.xen


def xenwire(*arguments, **options):
    """Run a command of the command line in this test's run folder."""
    return subprocess.run(
        [sys.executable, "-m", "xenwire", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        **{"stdin": subprocess.DEVNULL, **options},
    )


@pytest.fixture
def own_lab():
    """The name of a lab of the test's own, stopped in the end."""
    yield "own"
    if lab := Lab.find("own"):
        asyncio.run(lab.stop())


@pytest.mark.smoke
async def test_it_is_a_real_xen_host(dom0):
    status, out, _ = await dom0("xl", "list")
    assert status == 0
    assert out.splitlines()[1].split()[:4] == ["Domain-0", "0", "1500", "2"]
    _, out, _ = await dom0("xl", "info")
    assert "xen_version            : 4.17" in out
    assert "hvm-3.0-x86_64" in out
    _, out, _ = await dom0("xenstore-read", "/local/domain/0/name", "domid")
    assert out.split() == ["Domain-0", "0"]


async def test_commands_run_side_by_side(lab):
    async def echo(number):
        taken = bytearray()

        async def take(data):
            taken.extend(data)

        async with lab.session() as session:
            assert await session.run(["echo", str(number)], on_stdout=take) == 0
        return int(taken)

    assert await asyncio.gather(*map(echo, range(8))) == list(range(8))


async def test_statuses_signals_and_timeouts(dom0):
    assert (await dom0("sh", "-c", "exit 7"))[0] == 7
    assert (await dom0("sh", "-c", "kill -9 $$"))[0] == -9
    with pytest.raises(NotFound):
        await dom0("no-such-program")
    with pytest.raises(TimedOut, match=r"ran for 0\.5 s"):
        await dom0("sleep", "1000", timeout=0.5)
    assert (await dom0("pgrep", "-xf", "sleep 1000"))[0] == 1


async def test_the_clock_is_right(dom0):
    _, out, _ = await dom0("date", "+%s")
    assert abs(int(out) - time.time()) < 5


async def test_files_go_in_and_out(lab, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").write_bytes(os.urandom(3 << 20))
    (folder / "link").symlink_to("file")
    async with lab.session() as session:
        assert await session.put(folder, "/root") == []
        assert await session.run(["test", "-L", "/root/folder/link"]) == 0
        assert await session.get("/root/folder", tmp_path / "back") == []
        await session.run(["rm", "-r", "/root/folder"])
    assert (tmp_path / "back" / "file").read_bytes() == (folder / "file").read_bytes()


async def test_a_terminal(lab):
    taken = bytearray()

    async def take(data):
        taken.extend(data)

    async with lab.session() as session:
        status = await session.run(
            ["sh", "-c", "stty size; tty"], tty=Tty(33, 77, "vt100"), on_stdout=take, timeout=20
        )
    assert status == 0
    assert b"33 77" in taken
    assert b"/dev/pts/" in taken


@pytest.mark.smoke
def test_the_command_line(own_lab, tmp_path):
    (tmp_path / "in").write_text("hello")
    run = ["lab", "run", "--name", own_lab]
    assert xenwire(*run, "--", "sh", "-c", "echo out; echo err >&2; exit 9").returncode == 9
    result = xenwire(
        *run, "--put", f"{tmp_path}/in:/root/in", "--get", f"/root/out:{tmp_path}/out", "--",
        "sh", "-c", "cat - /root/in | tee /root/out; echo err >&2; kill -TERM $$",
        stdin=None, input="piped ",
    )  # fmt: skip
    assert (result.returncode, result.stdout, result.stderr) == (143, "piped hello", "err\n")
    assert (tmp_path / "out").read_text() == "piped hello"
    (found,) = json.loads(xenwire("lab", "status", "--json").stdout)
    assert (found["name"], found["state"], found["memory"]) == (own_lab, "running", 4096 << 20)
    clash = xenwire(*run, "--memory", "2048", "--", "true")
    assert clash.returncode == 6
    assert "runs with another profile" in clash.stderr
    assert xenwire("lab", "stop", "--name", own_lab).returncode == 0
    assert xenwire("lab", "status", "--json").stdout == "[]\n"
    assert xenwire("lab", "stop", "--name", own_lab).returncode == 3


def test_ctrl_c_ends_the_command_and_the_lab_that_it_has_started(own_lab):
    argv = [sys.executable, "-m", "xenwire", "lab", "run", "--name", own_lab, "--"]
    process = subprocess.Popen(
        [*argv, "sh", "-c", "echo here; sleep 1000"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"here\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
    process.stdout.close()
    assert Lab.find(own_lab) is None
    assert processes_with("XENWIRE_RUN", os.environ["XENWIRE_RUN"]) == []


def test_ctrl_c_leaves_a_lab_that_was_there(own_lab):
    lab = asyncio.run(Lab.start(own_lab, None, print))
    argv = [sys.executable, "-m", "xenwire", "lab", "run", "--name", own_lab, "--"]
    process = subprocess.Popen(
        [*argv, "sh", "-c", "echo here; exec sleep 1000"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"here\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
    process.stdout.close()
    assert lab.process.alive
    assert xenwire("lab", "run", "--name", own_lab, "--", "pgrep", "-xf", "sleep 1000").returncode == 1


def test_ctrl_c_while_it_starts(own_lab):
    process = subprocess.Popen(
        [sys.executable, "-m", "xenwire", "lab", "run", "--name", own_lab, "--", "true"],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    folder = Path(os.environ["XENWIRE_RUN"], "labs", own_lab)
    while not (folder / "qemu.log").exists():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
    process.stderr.close()
    assert not folder.exists()
    assert processes_with("XENWIRE_RUN", os.environ["XENWIRE_RUN"]) == []


async def test_of_many_starts_one_starts_it(own_lab):
    labs = await asyncio.gather(*(Lab.start(own_lab, None, print) for _ in range(4)))
    assert len({lab.process for lab in labs}) == 1
    with pytest.raises(Conflict):
        await Lab.start(own_lab, Profile(memory=2048), print)


async def test_a_lab_that_died_is_told_and_started_again(own_lab):
    lab = await Lab.start(own_lab, None, print)
    os.kill(lab.process.pid, signal.SIGKILL)
    await lab.process.wait()
    assert not Lab.find(own_lab).process.alive
    again = await Lab.start(own_lab, None, print)
    assert again.process.alive
    assert ProcessRef.of(lab.process.pid) != lab.process


async def test_a_snapshot_that_is_corrupt_is_made_anew(own_lab, tmp_path, monkeypatch):
    lab = await Lab.start(own_lab, None, print)
    await lab.stop()
    command = []
    (state,) = _states()
    state.write_bytes(state.read_bytes()[: 1 << 20])
    lab = await Lab.start(own_lab, None, command.append)
    assert any("cannot be restored" in phase for phase in command)
    assert lab.process.alive
    assert state.stat().st_size > 100 << 20


def _states():
    from xenwire.runtime.places import cache_dir

    found = sorted((cache_dir() / "labs").glob("*/state"), key=lambda path: path.parent.stat().st_mtime)
    return found[-1:]  # the one used last
