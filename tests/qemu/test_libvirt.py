"""Real libvirt through our broker: its emulator is a program that keeps QEMU's monitor."""

import asyncio
import os
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from xenwire.errors import Unreachable
from xenwire.qemu.qmp.broker.access import QUERY_CLIENTS
from xenwire.qemu.qmp.connect import connect_unix

pytestmark = [pytest.mark.qemu, pytest.mark.timeout(300)]

DOMAIN = """\
<domain type="qemu">
  <name>guest</name>
  <memory unit="MiB">64</memory>
  <os><type arch="x86_64" machine="q35">hvm</type></os>
  <devices>
    <emulator>{folder}/qemu</emulator>
    <controller type="usb" model="none"/>
    <memballoon model="none"/>
  </devices>
</domain>
"""
EMULATOR = Path(__file__).with_name("emulator.py")
START = 120  # seconds; libvirt first asks QEMU, twice, what it can do


@pytest.fixture
def running(short_tmp):
    """libvirt's own runner, with a domain that runs."""
    script = short_tmp / "qemu"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} {EMULATOR} {short_tmp} "$@" 2>>{short_tmp}/errors\n')
    script.chmod(0o755)
    (short_tmp / "domain.xml").write_text(DOMAIN.format(folder=short_tmp))
    root = short_tmp / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "qemu.conf").write_text('stdio_handler = "file"\n')
    # As root it would want users of its own; here it takes itself for an ordinary one.
    user = ["unshare", "--map-user=1000", "--map-group=1000"] if os.geteuid() == 0 else []
    if subprocess.run([*user, "true"], check=False).returncode:
        pytest.skip("as root it takes a user namespace, which there is none to have")
    with subprocess.Popen(
        [*user, "virt-qemu-run", "-v", "-r", root, short_tmp / "domain.xml"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as runner:
        try:
            said = until(runner, "guest running")
            assert "guest running" in said, said + (short_tmp / "errors").read_text()
            yield short_tmp, runner
        finally:
            runner.terminate()
            try:
                runner.communicate(timeout=30)
            except subprocess.TimeoutExpired:
                runner.kill()


def until(runner, words):
    """Read what it says up to these words, or its end."""
    said, deadline = "", time.monotonic() + START
    while (
        words not in said and select.select([runner.stdout], [], [], max(0, deadline - time.monotonic()))[0]
    ):
        data = os.read(runner.stdout.fileno(), 4096).decode()
        if not data:
            break
        said += data
    return said


async def test_libvirt_and_another_client_share_a_monitor(running):
    folder, runner = running
    async with connect_unix(folder / "qmp.sock") as qmp:
        assert (await qmp.execute("query-status"))["status"] == "running"
        libvirt, ours = await qmp.execute(QUERY_CLIENTS)
        assert libvirt["commands"] > 10
        assert ours["pid"] == os.getpid()
        runner.terminate()  # so libvirt ends the domain
        with pytest.raises(Unreachable):
            async with asyncio.timeout(30):
                while True:
                    await qmp.execute("query-status")
    assert "cleaned up" in until(runner, "cleaned up")
    assert runner.wait(timeout=30) == 0
