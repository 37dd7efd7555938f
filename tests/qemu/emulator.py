"""In QEMU's place under libvirt: the monitor that libvirt wants is a broker's, with a socket more beside it.

Run as `emulator.py FOLDER QEMU-ARGUMENTS`. What is no domain, such as libvirt's question what QEMU can do, is
QEMU's own.
"""

import asyncio
import os
import re
import sys
from pathlib import Path

from xenwire.qemu.process import Qemu
from xenwire.qemu.program import find_qemu
from xenwire.qemu.qmp.broker.access import Access
from xenwire.qemu.qmp.broker.broker import Broker

_, FOLDER, *WORDS = sys.argv
MONITOR = re.compile(r"socket,id=charmonitor,fd=([0-9]+),server=on,wait=off")


async def main(fd):
    passed = [int(name) for name in os.listdir("/proc/self/fd") if name.isdigit() and int(name) > 2]
    async with (
        await Qemu.start(
            find_qemu(),
            WORDS,
            log=Path(FOLDER, "qemu.log"),
            pass_fds=[each for each in passed if each != fd and Path(f"/proc/self/fd/{each}").exists()],
        ) as qemu,
        Broker.serve(qemu.qmp, {Path(FOLDER, "qmp.sock"): Access.FULL}, {fd: Access.FULL}),
    ):
        await qemu.wait()


monitor = next(filter(None, map(MONITOR.fullmatch, WORDS)), None)
if monitor is None:
    os.execv(find_qemu(), [str(find_qemu()), *WORDS])
for option in (monitor[0], "chardev=charmonitor,id=monitor,mode=control"):
    at = WORDS.index(option)
    del WORDS[at - 1 : at + 1]
asyncio.run(main(int(monitor[1])))
