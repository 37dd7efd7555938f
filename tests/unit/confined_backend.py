"""The backend on the loopback, confined as `xenwire serve` is, as a program.

Run with the folder of the loopback hypervisor, in which `store.sock` is the store's socket, and a user, or
nothing for the present one. It says `ready` as daemons do, and ends at SIGTERM.
"""

import sys
from pathlib import Path

from xenwire.channels.ringend import Rings
from xenwire.channels.server import ChannelServer
from xenwire.daemon.confinement import Confinement
from xenwire.hypervisor.loopback import LoopbackEventChannels, LoopbackGrants
from xenwire.runtime.main import run
from xenwire.runtime.notify import ready
from xenwire.xenstore import Store


async def serve(folder, user):
    rings = Rings(LoopbackEventChannels(folder, 0), LoopbackGrants(folder, 0))
    confinement = Confinement.of(user)
    confinement.begin()
    async with Store.connect(folder / "store.sock") as store:
        confinement.complete()
        spools = confinement.folder / "spools"
        spools.mkdir(exist_ok=True)
        await ChannelServer(store, rings, spools).run(ready)


if __name__ == "__main__":
    run(serve(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None))
