"""Channels of a PV guest on a real Xen: ours beside those of QEMU's console backend, in one guest.

The guest has channels of both, and the same programs at the end of each; clients in dom0 use them by turns.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import bench.channels_dom0
from bench.figures import show_most, show_speeds, spread
from xenwire.images import build_tiny_guest
from xenwire.lab import Lab, Profile
from xenwire.lab.package import install

FOLDER = "/root/bench"
CONFIG = """\
name = "bench"
type = "pv"
memory = 256
kernel = "{folder}/{kernel}"
ramdisk = "{folder}/ramdisk"
extra = "{cmdline}"
channel = [
    "connection=pty,name=lost",
    "connection=socket,path={folder}/qemu-echo,name=org.xenwire.echo.qemu",
    "connection=socket,path={folder}/qemu-bench,name=qemu",
]
"""
"""xl 4.17 loses a guest's first channel. What a channel of the name `echo` brings comes back."""

CREATE = """
set -e
rm -f /var/log/xen/guest-bench.log
xl create {folder}/config 2>&1
until grep -qs 'xenwire guest: ready' /var/log/xen/guest-bench.log; do sleep 0.5; done
"""
ATTACH = """
set -e
xenwire channel attach bench org.xenwire.echo.ours --socket {folder}/ours-echo
xenwire channel attach bench ours --socket {folder}/ours-bench
"""

PROGRAM = r"""
serve() {
    until [ -e "/dev/xen-channel/$1" ]; do usleep 100000; done
    exec 3<>"/dev/xen-channel/$1"
    stty raw -echo <&3
    while read -r what count <&3; do
        case $what in
            write) dd if=/dev/zero bs=4096 count="$count" >&3 ;;
            read) echo -n . >&3; dd bs=4096 count="$count" iflag=fullblock <&3 >/dev/null; echo -n . >&3 ;;
        esac
    done
}
serve qemu 2>/dev/null &
serve ours 2>/dev/null &
"""
"""At the guest's end of `qemu` and `ours`."""

TYPE = 'cat >"$(xenstore-read "/local/domain/$(xl domid bench)/console/tty")"; sleep 10'
MEMORY = "cat /proc/$(pgrep -f '{pattern}' | head -n 1)/smaps_rollup"


def run(runs: int = 7) -> None:
    with tempfile.TemporaryDirectory(prefix="xw-") as folder:
        os.environ["XENWIRE_RUN"] = folder
        asyncio.run(measure(runs))


async def measure(runs: int) -> None:
    image = await build_tiny_guest(lambda _phase: None)
    lab = await Lab.start("bench", Profile(), lambda _phase: None)
    try:
        async with lab.session() as session:
            await install(session)
            await session.run(["mkdir", FOLDER])
            for path in (image.kernel, image.ramdisk, Path(bench.channels_dom0.__file__)):
                await session.put(path, FOLDER)
        config = CONFIG.format(folder=FOLDER, kernel=image.kernel.name, cmdline=image.cmdline)
        await shell(lab, f"cat >{FOLDER}/config", config)
        await shell(lab, CREATE.format(folder=FOLDER))
        await shell(lab, ATTACH.format(folder=FOLDER))
        await shell(lab, TYPE, PROGRAM)
        show_talk(json.loads(await client(lab, "talk", FOLDER, runs)))
        for name, pattern in ("QEMU of the domain", "[-]xen-domid"), ("xenwire serve", "[x]enwire serve"):
            rollup = await shell(lab, MEMORY.format(pattern=pattern))
            fields = dict(line.split(":") for line in rollup.splitlines()[1:])
            whole, own = fields["Pss"].strip(), fields["Pss_Anon"].strip()
            print(f"lab: memory of {name}: PSS {whole}, {own} of it its own\n")
        # A guest without channels, and so without a QEMU that looks at each that comes.
        await shell(lab, f"xl destroy bench; sed -i '/^channel/,$d' {FOLDER}/config")
        await shell(lab, CREATE.format(folder=FOLDER))
        show_attach(json.loads(await client(lab, "attach", "$(xl domid bench)", runs)))
    finally:
        await lab.stop()


async def client(lab: Lab, what: str, where: str, runs: int) -> str:
    return await shell(lab, f"python3 {FOLDER}/channels_dom0.py {what} {where} {runs}")


async def shell(lab: Lab, script: str, stdin: str = "") -> str:
    """Run a script in dom0, which has to succeed, and give its output."""
    out, errors = bytearray(), bytearray()

    async def take(data: bytes) -> None:
        out.extend(data)

    async def take_error(data: bytes) -> None:
        errors.extend(data)

    async with lab.session() as session:
        status = await session.run(
            ["sh", "-c", script], stdin=stdin.encode(), on_stdout=take, on_stderr=take_error, timeout=1200
        )
    assert status == 0, errors.decode()
    return out.decode()


def show_talk(talk: dict[str, Any]) -> None:
    for name, title in ("output", "guest to host"), ("input", "host to guest"):
        speeds = {backend: [each / 1024 for each in talk[name][backend]] for backend in talk[name]}
        show_speeds(f"lab: {title}", "KiB/s", speeds["ours"], "QEMU", speeds["qemu"], 0.7)
    trips = {backend: [1 / each for each in talk["round trip"][backend]] for backend in talk["round trip"]}
    show_speeds("lab: round trips of 64 bytes", "a second", trips["ours"], "QEMU", trips["qemu"], 0.7)


def show_attach(attach: dict[str, list[float]]) -> None:
    heard = attach.pop("heard of the command")
    show_most(
        "lab: from the transaction that attaches a channel until what the guest writes is heard",
        sorted(attach["heard"])[len(attach["heard"]) // 2],
        "s",
        0.5,
        "\n  ".join(
            f"{step:14}{spread([1000 * each for each in times], 'ms')}" for step, times in attach.items()
        ),
    )
    print(f"lab: the same from the start of `xenwire channel attach`\n  {spread(heard, 's')}\n", flush=True)
