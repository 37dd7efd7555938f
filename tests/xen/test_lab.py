"""The lab itself: what runs in it, how it starts and ends."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from xenwire.errors import Conflict, NotFound, TimedOut, UsageError, XenwireError
from xenwire.lab import Lab, LabState, Profile, Tty
from xenwire.runtime.places import cache_dir, run_dir
from xenwire.runtime.process import processes_with

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
    assert Lab.find(own_lab).state is LabState.DEAD
    again = await Lab.start(own_lab, None, print)
    assert again.state is LabState.RUNNING


def test_a_lab_whose_starter_is_killed_is_found_and_ended(own_lab):
    command = [sys.executable, "-m", "xenwire", "lab", "run", "--name", own_lab, "--", "true"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    while (lab := Lab.find(own_lab)) is None:
        assert process.poll() is None
    assert lab.state is LabState.STARTING
    process.kill()
    process.wait()
    assert Lab.find(own_lab).state is LabState.DEAD
    again = asyncio.run(Lab.start(own_lab, None, print))
    assert not lab.process.alive
    assert again.process.alive


def test_a_lab_can_be_stopped_while_it_starts(own_lab):
    command = [sys.executable, "-m", "xenwire", "lab", "run", "--name", own_lab, "--", "true"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while (lab := Lab.find(own_lab)) is None:
        assert process.poll() is None
    asyncio.run(lab.stop())
    _, err = process.communicate(timeout=60)
    # Restored, it does not come up, and is booted anew: that start may be the one that is left.
    assert process.returncode in (0, 1), err


async def test_a_lab_of_another_version_can_only_be_stopped(own_lab):
    lab = await Lab.start(own_lab, None, print)
    record = lab.folder / "lab.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"inside": "other", "profile": {"odd": 1}}))
    found = Lab.find(own_lab)
    assert found.state is LabState.FOREIGN
    with pytest.raises(Conflict, match="another version"):
        await Lab.start(own_lab, None, print)
    await found.stop()
    assert Lab.find(own_lab) is None
    assert not lab.process.alive


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null"])
def test_a_record_that_makes_no_sense_is_none(text, private_run):
    folder = run_dir() / "labs" / "odd"
    folder.mkdir(parents=True)
    (folder / "lab.json").write_text(text)
    assert Lab.all() == []
    assert Lab.find("odd") is None


async def test_a_machine_that_does_not_come_up_tells_why(own_lab):
    with pytest.raises(XenwireError, match="the lab did not start") as caught:
        await Lab.start(own_lab, Profile(iommu=True, xen_options="dom0_mem=20M,max:20M"), print)
    folder = Path(os.environ["XENWIRE_RUN"], "labs", own_lab)
    assert {path.name for path in folder.iterdir()} == {"qemu.log", "console.log"}
    assert "anic" in (folder / "console.log").read_text(errors="replace")
    assert str(folder) in caught.value.hint


async def test_a_snapshot_that_is_cut_short_is_made_anew(own_lab):
    profile = Profile(memory=4097)  # one of this test's own
    lab = await Lab.start(own_lab, profile, print)
    await lab.stop()
    state = _state_of(lab)
    with state.open("r+b") as file:
        file.truncate(1 << 20)
    phases = []
    lab = await Lab.start(own_lab, profile, phases.append)
    assert any("booting Xen" in phase for phase in phases)
    assert lab.state is LabState.RUNNING
    shutil.rmtree(state.parent)


async def test_a_snapshot_that_qemu_refuses_is_made_anew(own_lab):
    profile = Profile(memory=4098)
    lab = await Lab.start(own_lab, profile, print)
    await lab.stop()
    state = _state_of(lab)
    with state.open("r+b") as file:
        file.write(bytes(1 << 20))
    phases = []
    lab = await Lab.start(own_lab, profile, phases.append)
    assert any("cannot be restored" in phase for phase in phases)
    assert lab.state is LabState.RUNNING
    shutil.rmtree(state.parent)


async def test_impossible_folders_are_refused_before_anything_is_done(short_tmp, monkeypatch):
    for name, reason in (("a blank", "a blank"), ("x" * 90, "bytes in their paths")):
        (short_tmp / name).mkdir(0o700)
        monkeypatch.setenv("XENWIRE_RUN", str(short_tmp / name))
        with pytest.raises(UsageError, match=reason):
            await Lab.start("own", None, print)


def _state_of(lab):
    """Give the snapshot that was made or used last: by this test, for nobody else has such a profile."""
    return max((cache_dir() / "labs").glob("*/state"), key=lambda path: path.parent.stat().st_mtime)
