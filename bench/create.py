"""From `xenwire create` to the guest agent's first answer, beside the same QEMU started by hand."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.measure import alternate, show
from xenwire.agent import GuestAgent
from xenwire.images import build_tiny_guest
from xenwire.runtime.process import processes_with
from xenwire.runtime.streams import open_stream

CONFIG = """\
name = "bench"
memory = 256
kernel = "{kernel}"
ramdisk = "{ramdisk}"
cmdline = "{cmdline}"
channel = [ "connection=socket,name=org.qemu.guest_agent.0,path={socket}" ]
"""


def run(runs: int = 7) -> None:
    image = asyncio.run(build_tiny_guest(lambda _phase: None))
    with tempfile.TemporaryDirectory(prefix="xw-") as name:
        folder = Path(name)
        socket, config = folder / "agent.sock", folder / "bench.cfg"
        config.write_text(
            CONFIG.format(kernel=image.kernel, ramdisk=image.ramdisk, cmdline=image.cmdline, socket=socket)
        )
        xenwire = str(Path(sys.executable).parent / "xenwire")
        env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"} | {"XENWIRE_RUN": name}

        def ours() -> float:
            start = time.perf_counter()
            creating = subprocess.Popen(
                [xenwire, "-q", "create", str(config)], env=env, stdout=subprocess.DEVNULL
            )
            asyncio.run(answered(socket))
            seconds = time.perf_counter() - start
            assert creating.wait() == 0
            subprocess.run([xenwire, "destroy", "--yes", "bench"], env=env, check=True)
            return seconds

        subprocess.run([xenwire, "-q", "create", str(config)], env=env, check=True, stdout=subprocess.DEVNULL)
        command = by_hand(qemu_command(name), socket)
        subprocess.run([xenwire, "destroy", "--yes", "bench"], env=env, check=True)

        def hand() -> float:
            start = time.perf_counter()
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            try:
                asyncio.run(answered(socket))
                return time.perf_counter() - start
            finally:
                process.kill()
                process.wait()
                socket.unlink(missing_ok=True)

        sample, peer = alternate(runs, ours, hand)
        subprocess.run([sys.executable, "-m", "bench.stop_store"], env=env, check=True)
    show("xenwire create to the agent's first answer", sample, "QEMU by hand", peer, 1.15)


async def answered(socket: Path) -> None:
    """Wait until the agent behind a socket answers, from before the socket exists."""
    while not socket.is_socket():  # noqa: ASYNC110  nobody tells
        await asyncio.sleep(0.002)
    async with open_stream(socket) as (reader, writer), GuestAgent.open(reader, writer) as agent:
        await agent.wait_ready(timeout=120)


def qemu_command(run_folder: str) -> list[str]:
    """Give the command line of the QEMU that belongs to a run folder."""
    for process in processes_with("XENWIRE_RUN", run_folder):
        words = Path(f"/proc/{process.pid}/cmdline").read_bytes().decode().split("\0")[:-1]
        if "-S" in words:
            return words
    raise LookupError("there is no QEMU")


def by_hand(words: list[str], socket: Path) -> list[str]:
    """Give the same command as one would type it: no private monitor, not stopped, sockets by their path."""
    monitor = words.index("-S")
    path = f"path={socket},server=on,wait=off"
    return [
        words[0],
        *(f"{word.partition(',fd=')[0]},{path}" if ",fd=" in word else word for word in words[monitor + 1 :]),
    ]
