"""What libxl starts in QEMU's place, as libxl starts it: with a socket that it has opened."""

import asyncio
import os
import socket
import sys

import pytest

from xenwire.qemu.program import find_qemu
from xenwire.qemu.qmp.connect import connect_unix

pytestmark = pytest.mark.qemu

PROGRAM = "import sys; from xenwire.__main__ import device_model; sys.exit(device_model())"
"""What the script xenwire-dm does."""


async def start(*arguments, fds=(), program=None):
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM, *arguments),
        env={**os.environ, "XENWIRE_QEMU": program or str(find_qemu())},
        pass_fds=fds,
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )


def probe(fd):
    """Give what libxl asks with; on Xen it adds `accel=xen` (xen: tools/libs/light/libxl_dm.c)."""
    return (
        *("-S", "-no-user-config", "-nodefaults", "-nographic", "-machine", "none"),
        *("-chardev", f"socket,id=libxl-cmd,fd={fd},server=on,wait=off"),
        *("-mon", "chardev=libxl-cmd,mode=control"),
    )


async def test_a_probe_is_answered_by_qemu_itself(short_tmp):
    """libxl 4.20 asks so how QEMU gives up its privileges, before it starts the one that it wants."""
    path = short_tmp / "qmp-libxl-3"
    with socket.create_server(str(path), family=socket.AF_UNIX, backlog=1) as listener:
        process = await start(*probe(listener.fileno()), fds=[listener.fileno()])
    async with connect_unix(path, timeout=60) as qmp:
        assert os.path.samefile(f"/proc/{process.pid}/exe", find_qemu())
        options = await qmp.execute("query-command-line-options")
        assert {"name", "sandbox"} <= {each["option"] for each in options}
        assert all(isinstance(each["parameters"], list) for each in options)
        await qmp.execute("quit")
    assert await process.communicate() == (None, b"")
    assert process.returncode == 0


async def test_a_probe_where_there_is_no_qemu_says_so():
    """libxl then goes on without an answer; its log of the probe has the reason."""
    process = await start(*probe(3), program="/none/qemu")
    _, words = await process.communicate()
    assert process.returncode == 3
    assert b"there is no QEMU for Xen" in words
    assert b"no /none/qemu" in words
