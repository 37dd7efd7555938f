"""`xenwire serve` with the loopback for a hypervisor. Run with a folder, in which `store.sock` is the store.

It says `ready` on its standard output, and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import xenwire.cli.serve  # noqa: F401  what the real one has in its memory
from xenwire.channels.ringend import Rings
from xenwire.channels.server import ChannelServer
from xenwire.hypervisor.loopback import LoopbackEventChannels, LoopbackGrants
from xenwire.xenstore import Store


async def serve(folder: Path) -> None:
    rings = Rings(LoopbackEventChannels(folder, 0), LoopbackGrants(folder, 0))
    async with Store.connect(folder / "store.sock") as store:
        server = asyncio.create_task(
            ChannelServer(store, rings, folder / "spools").run(lambda: print("ready", flush=True))
        )
        asyncio.get_running_loop().add_reader(sys.stdin, server.cancel)
        await asyncio.wait([server])


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
