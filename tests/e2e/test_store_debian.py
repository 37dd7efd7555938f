"""Debian's own Xenstore tools (package xenstore-utils) against the daemon, a process of its own."""

import asyncio
import os
import shutil
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE

import pytest

pytestmark = pytest.mark.skipif(
    shutil.which("xenstore-ls") is None, reason="Debian's package xenstore-utils is not installed"
)

SERVE = """
import sys
from pathlib import Path
from xenwire.runtime.main import run
from xenwire.xenstored.server import serve
run(serve(Path(sys.argv[1])))
"""


class Tools:
    """Runs `xenstore-…` against one daemon."""

    def __init__(self, path):
        self._env = {**os.environ, "XENSTORED_PATH": str(path)}

    async def start(self, tool, *arguments):
        return await asyncio.create_subprocess_exec(
            f"xenstore-{tool}", *arguments, env=self._env, stdin=DEVNULL, stdout=PIPE, stderr=PIPE
        )

    async def status(self, tool, *arguments):
        """Give exit status, output and errors."""
        process = await self.start(tool, *arguments)
        out, err = await process.communicate()
        return process.returncode, out.decode("latin-1"), err.decode()

    async def __call__(self, tool, *arguments):
        """Give the output of a tool that must succeed."""
        status, out, err = await self.status(tool, *arguments)
        assert (status, err) == (0, "")
        return out


@pytest.fixture
async def xenstore(tmp_path):
    path = tmp_path / "store.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as ear:
        ear.bind(str(tmp_path / "notify"))
        env = {**os.environ, "NOTIFY_SOCKET": ear.getsockname()}
        daemon = await asyncio.create_subprocess_exec(sys.executable, "-c", SERVE, path, env=env, stderr=PIPE)
        try:
            async with asyncio.timeout(20):
                assert await asyncio.get_running_loop().sock_recv(ear, 64) == b"READY=1"
            yield Tools(path)
        finally:
            daemon.send_signal(signal.SIGTERM)
            _, err = await daemon.communicate()
        assert (daemon.returncode, err) == (128 + signal.SIGTERM, b"")
        assert not path.exists()


async def test_write_and_read(xenstore):
    assert await xenstore("write", "/vm/name", "guest", "/vm/empty", "") == ""
    assert await xenstore("read", "/vm/name", "/vm/empty") == "guest\n\n"
    assert await xenstore("read", "-p", "/vm/name") == "/vm/name: guest\n"
    assert await xenstore("list", "/vm") == "name\nempty\n"
    assert await xenstore("list", "-p", "/vm") == "/vm/name\n/vm/empty\n"


async def test_relative_paths(xenstore):
    await xenstore("write", "device/x", "1")
    assert await xenstore("read", "/local/domain/0/device/x") == "1\n"


async def test_every_byte_of_a_value(xenstore):
    written = "".join(f"\\x{byte:02x}" for byte in range(256))
    escapes = {9: "\\t", 10: "\\n", 13: "\\r", 92: "\\\\"}
    shown = "".join(
        escapes.get(
            byte, chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}" if byte > 7 else f"\\{byte:03o}"
        )
        for byte in range(256)
    )
    await xenstore("write", "/v", written)
    assert await xenstore("read", "-R", "/v") == bytes(range(256)).decode("latin-1")
    assert await xenstore("read", "/v") == f"{shown}\n"


async def test_tree(xenstore):
    await xenstore("write", "/a/b/c", "deep", "/a/d", "x\ty", "/e", "")
    assert await xenstore("ls") == (
        'tool = ""\n xenstored = ""\na = ""\n b = ""\n  c = "deep"\n d = "x\\ty"\ne = ""\n'
    )
    await xenstore("chmod", "/a/b", "n0", "r5")
    assert await xenstore("ls", "-f", "-p", "/a") == (
        '/a/b = ""   (n0,r5)\n/a/b/c = "deep"   (n0)\n/a/d = "x\\ty"   (n0)\n'
    )
    await xenstore("chmod", "-r", "/a", "b7")
    assert await xenstore("ls", "-f", "-p", "/a") == (
        '/a/b = ""   (b7)\n/a/b/c = "deep"   (b7)\n/a/d = "x\\ty"   (b7)\n'
    )


async def test_exists_and_rm(xenstore):
    await xenstore("write", "/a/b/c", "1", "/k", "1")
    assert await xenstore("exists", "/a/b", "/k") == ""
    await xenstore("rm", "-t", "/a/b/c")
    assert (await xenstore.status("exists", "/a"))[0] == 1
    await xenstore("rm", "/k", "/none")
    assert await xenstore("list", "/") == "tool\n"


async def test_errors(xenstore):
    status, out, err = await xenstore.status("read", "/tool", "/none")
    assert (status, out) == (1, "\n")
    assert "couldn't read path /none" in err
    for arguments in (
        ["list", "/none"],
        ["rm", "/none/none"],
        ["write", "/a//b", "1"],
        ["chmod", "/tool", "n40000"],
    ):
        assert (await xenstore.status(*arguments))[0] == 1


async def test_directory_larger_than_a_message(xenstore):
    names = [f"a-rather-long-name-{number}" for number in range(1000)]
    pairs = [word for name in names for word in (f"/many/{name}", "1")]
    await xenstore("write", *pairs)
    assert (await xenstore("list", "/many")).split() == names


async def test_writes_of_one_command_are_one_transaction(xenstore):
    watch = await xenstore.start("watch", "-n", "4", "/a", "/b")
    assert [await watch.stdout.readline() for _ in range(2)] == [b"/a\n", b"/b\n"]
    await xenstore.status("write", "/a/1", "x", "/b//2", "x")
    await xenstore("write", "/a/1", "x", "/b/2", "x")
    out, _ = await watch.communicate()
    assert out == b"/a/1\n/b/2\n"


async def test_watch(xenstore):
    watch = await xenstore.start("watch", "/a", "@introduceDomain", "relative")
    expected = [b"/a\n", b"@introduceDomain\n", b"relative\n"]
    assert [await watch.stdout.readline() for _ in range(3)] == expected
    steps = {
        b"/a/b/c\n": ["write", "/a/b/c", "1"],
        b"/a\n": ["chmod", "/a", "n0", "r5"],
        b"relative/x\n": ["write", "/local/domain/0/relative/x", "1"],
        b"/a/b\n": ["rm", "/a/b"],
    }
    for line, command in steps.items():
        await xenstore(*command)
        assert await watch.stdout.readline() == line
    watch.terminate()
    await watch.wait()


async def test_many_commands_at_once(xenstore):
    """Each of them adds a key in a transaction of its own, and starts again while others get in its way."""
    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(xenstore("write", f"/shared/{number}", "1", f"/shared/{number}/x", "2"))
    assert {int(name) for name in (await xenstore("list", "/shared")).split()} == set(range(20))
