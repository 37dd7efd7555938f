"""The backend as a program that can be killed: `start` and `kill` are the lines that it reads.

Run with the folder of the loopback hypervisor, in which `store.sock` is the store's socket. It says `ready`
and `killed`. It forks what it starts: importing all that is needed takes longer than most live here.
"""

import asyncio
import gc
import os
import signal
import sys
from pathlib import Path

from xenwire.channels.ringend import Rings
from xenwire.channels.server import ChannelServer
from xenwire.hypervisor.loopback import LoopbackEventChannels, LoopbackGrants
from xenwire.xenstore import Store


async def serve(folder):
    rings = Rings(LoopbackEventChannels(folder, 0), LoopbackGrants(folder, 0))
    async with Store.connect(folder / "store.sock") as store:
        await ChannelServer(store, rings, folder / "spools").run(lambda: say("ready"))


def say(word):
    os.write(sys.stdout.fileno(), f"{word}\n".encode())


def main(folder):
    gc.freeze()
    child = 0
    for line in sys.stdin:
        if line == "kill\n":
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            say("killed")
        else:
            child = os.fork()
            if child == 0:
                asyncio.run(serve(folder))
                return


if __name__ == "__main__":
    main(Path(sys.argv[1]))
