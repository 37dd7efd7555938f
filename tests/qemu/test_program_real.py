"""What a real QEMU program says of itself, and how its process starts and ends."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from xenwire.errors import XenwireError
from xenwire.qemu.capabilities import capabilities, probe
from xenwire.qemu.process import Qemu
from xenwire.qemu.program import find_qemu
from xenwire.runtime import places
from xenwire.runtime.process import ProcessRef

pytestmark = pytest.mark.qemu

BARE = ("-machine", "none", "-nodefaults", "-no-user-config", "-display", "none")


@pytest.fixture
def log(tmp_path):
    return tmp_path / "qemu.log"


async def test_a_probe_lists_devices_and_commands():
    before = asyncio.all_tasks()
    found = await probe(find_qemu())
    assert found.version >= (7, 0, 0, "")
    assert {
        "virtserialport",
        "virtio-blk-pci",
        "virtio-net-pci",
        "virtio-keyboard-pci",
        "VGA",
    } <= found.devices
    assert {"query-status", "chardev-add", "getfd"} <= found.commands
    assert asyncio.all_tasks() == before


async def test_a_program_is_asked_once(tmp_path, monkeypatch):
    """Until it is another, though its name is the same."""
    program = tmp_path / "qemu"
    shutil.copy2(find_qemu(), program)
    (modules,) = Path("/usr/lib").glob("*-linux-gnu/qemu")
    monkeypatch.setenv("QEMU_MODULE_DIR", str(modules))  # it would look beside itself
    first = await capabilities(program)
    assert first == await probe(program)
    program.unlink()
    program.write_bytes(b"no program at all")
    program.chmod(0o755)
    with pytest.raises(XenwireError):
        await capabilities(program)


async def test_what_is_remembered_is_used_and_what_is_spoilt_is_not():
    first = await capabilities(find_qemu())
    (known,) = places.run_dir().glob("qemu-*.json")
    known.write_text(known.read_text().replace("virtserialport", "remembered"))
    assert "remembered" in (await capabilities(find_qemu())).devices
    for spoilt in ("{", '{"version": [7, 2, 0, ""], "devices": [], "commands": []}'):
        known.write_text(spoilt)
        assert await capabilities(find_qemu()) == first


async def test_a_script_is_asked_each_time(tmp_path):
    script = tmp_path / "qemu"
    script.write_text(f'#!/bin/sh\nexec {find_qemu()} "$@"\n')
    script.chmod(0o755)
    assert "virtserialport" in (await capabilities(script)).devices
    assert list(places.run_dir().glob("qemu-*.json")) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts programs as somebody else")
@pytest.mark.parametrize("user", ["nobody", "65534:65534"])
async def test_it_runs_as_another_user_from_the_start(log, user):
    async with await Qemu.start(find_qemu(), BARE, log=log, user=user) as qemu:
        status = Path(f"/proc/{qemu.pid}/status").read_text()
    assert "\nUid:\t65534\t65534\t65534\t65534\n" in status
    assert "\nGid:\t65534\t65534\t65534\t65534\n" in status


async def test_it_waits_to_be_set_going_and_ends_in_order(log):
    async with await Qemu.start(find_qemu(), BARE, log=log) as qemu:
        assert (await qemu.qmp.execute("query-status"))["status"] == "prelaunch"
        assert Path(f"/proc/{qemu.pid}/exe").resolve() == find_qemu().resolve()
    assert str(await qemu.wait()) == "exited with status 0"
    assert await qemu.stop() == 0
    assert log.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-bogus"], "-bogus: invalid option"),
        (["-machine", "nonesuch"], "unsupported machine type"),
        (["-machine", "q35", "-kernel", "/no/such/kernel"], "could not open kernel file '/no/such/kernel'"),
    ],
)
async def test_a_qemu_that_dies_at_once_says_why(log, arguments, words):
    with pytest.raises(XenwireError, match="exited with status 1") as caught:
        await Qemu.start(find_qemu(), [*BARE, *arguments], log=log)
    assert words in caught.value.reason


async def test_one_that_hangs_is_killed(log):
    qemu = await Qemu.start(find_qemu(), BARE, log=log)
    os.kill(qemu.pid, signal.SIGSTOP)
    assert str(await qemu.stop(timeout=0.1)) == "killed by SIGKILL"


async def test_its_death_is_noticed_and_its_words_are_kept(log):
    async with await Qemu.start(find_qemu(), BARE, log=log) as qemu:
        os.kill(qemu.pid, signal.SIGTERM)
        assert str(await qemu.wait()) == "exited with status 0"
        assert "terminating on signal 15" in qemu.last_words()[-1]


async def test_inherited_descriptors_keep_their_numbers(log):
    reading, writing = os.pipe()
    try:
        chardev = ["-chardev", "file,id=c,path=/dev/fdset/7,append=on", "-add-fd", f"fd={writing},set=7"]
        async with await Qemu.start(find_qemu(), [*BARE, *chardev], log=log, pass_fds=[writing]) as qemu:
            sets = await qemu.qmp.execute("query-fdsets")
            assert [entry["fdset-id"] for entry in sets] == [7]
    finally:
        os.close(reading)
        os.close(writing)


async def test_it_dies_with_its_parent(log):
    script = (
        "import asyncio, os, sys\n"
        "from pathlib import Path\n"
        "from xenwire.qemu.process import Qemu\n"
        "async def main():\n"
        f"    qemu = await Qemu.start(Path({str(find_qemu())!r}), {BARE!r}, log=Path({str(log)!r}))\n"
        "    print(qemu.pid, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=subprocess.PIPE)
    output, _ = await parent.communicate()
    assert parent.returncode == -signal.SIGKILL
    async with asyncio.timeout(10):
        if orphan := ProcessRef.of(int(output)):
            await orphan.wait()
