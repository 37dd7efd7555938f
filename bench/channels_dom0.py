"""Runs in the lab's dom0: a client of a guest's channels, which says as JSON what it has measured.

`talk FOLDER RUNS`: bytes a second and seconds a round trip of each backend whose sockets are in the folder,
by turns. `attach DOMID RUNS`: seconds until a guest that runs can write to a channel that comes.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

OUTPUT, INPUT = 256 << 10, 128 << 10
"""Bytes of a run: the guest's, and those for the guest."""
BLOCK = 4096
MESSAGE = 64
ROUND_TRIPS = 100
TIMEOUT = 120.0

BACKENDS = ("ours", "qemu")
NEW = "org.xenwire.new"


def connect(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(TIMEOUT)
    client.connect(str(path))
    return client


def output(client: socket.socket) -> float:
    """Have the guest write, and give the bytes a second from the first that come on."""
    client.sendall(b"write %d\n" % (OUTPUT // BLOCK))
    left = counted = OUTPUT - len(client.recv(1 << 16))
    start = time.perf_counter()
    while left:
        left -= len(client.recv(1 << 16))
    return counted / (time.perf_counter() - start)


def input_(client: socket.socket) -> float:
    """Have the guest read, which says when it begins and when it has all; give the bytes a second."""
    client.sendall(b"read %d\n" % (INPUT // BLOCK))
    client.recv(1)
    start = time.perf_counter()
    client.sendall(bytes(INPUT))
    client.recv(1)
    return INPUT / (time.perf_counter() - start)


def round_trip(client: socket.socket) -> float:
    """Give the seconds of one round trip, the median of many."""
    times = []
    for _ in range(ROUND_TRIPS):
        start = time.perf_counter()
        client.sendall(bytes(MESSAGE))
        left = MESSAGE
        while left:
            left -= len(client.recv(left))
        times.append(time.perf_counter() - start)
    return sorted(times)[ROUND_TRIPS // 2]


MEASURES: dict[str, tuple[str, Callable[[socket.socket], float]]] = {
    "output": ("bench", output),
    "input": ("bench", input_),
    "round trip": ("echo", round_trip),
}


def talk(folder: Path, runs: int) -> dict[str, dict[str, list[float]]]:
    found: dict[str, dict[str, list[float]]] = {}
    for name, (program, measure) in MEASURES.items():
        clients = {backend: connect(folder / f"{backend}-{program}") for backend in BACKENDS}
        turns = [{backend: measure(clients[backend]) for backend in BACKENDS} for _ in range(runs + 1)][1:]
        found[name] = {backend: [turn[backend] for turn in turns] for backend in BACKENDS}
        for client in clients.values():
            client.close()
    return found


async def attach(domid: int, runs: int) -> dict[str, list[float]]:
    """Attach a channel again and again, while the guest tries all the time to write to it."""
    from xenwire.channels.attach import attach, detach
    from xenwire.channels.keys import Channel, read_channels
    from xenwire.types import ChannelKind, ChannelName, DevId, DomId
    from xenwire.xenstore import Store

    path = Path("/tmp/new")
    found: dict[str, list[float]] = {"served": [], "connected": [], "heard": [], "heard of the command": []}
    async with Store.connect() as store:
        console = await store.read_text(f"/local/domain/{domid}/console/tty")
        devid = 1 + len(await read_channels(store, DomId(domid)))
        channel = Channel(DomId(domid), DevId(devid), ChannelName(NEW), ChannelKind.SOCKET, str(path))

        async def try_to_write() -> None:
            # hvcN is the N-th channel's, as none has gone. Linux throws away what is written to a terminal
            # before it has joined the ring (linux: drivers/tty/hvc/hvc_xen.c): so again and again. It must
            # not be the guest that keeps a processor busy: it sleeps without a process of its own.
            write = "n=0; while [ $((n += 1)) -lt 100 ]; do echo; pause 0.01; done"
            words = [
                "pause() { read -r -t $1 _ <>/run/never; }",
                f"{{ until {{ {write}; }} >/dev/hvc{devid}; do pause 0.02; done; }} 2>/dev/null",
            ]
            Path(console).write_text("".join(f"{each}\n" for each in words))
            await asyncio.sleep(3)

        for _ in range(runs):
            await try_to_write()
            start = time.perf_counter()
            attached = await attach(store, channel, timeout=TIMEOUT)
            found["served"].append(time.perf_counter() - start)
            await store.wait_for(channel.frontend / "state", lambda state: state == b"4", TIMEOUT)
            found["connected"].append(time.perf_counter() - start)
            with connect(path) as client:
                client.recv(1)
            found["heard"].append(time.perf_counter() - start)
            await detach(store, attached, TIMEOUT)
        for _ in range(1 + runs // 3):
            await try_to_write()
            start = time.perf_counter()
            command = ["xenwire", "channel", "attach", str(domid), NEW, "--socket", str(path)]
            process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL)
            while not path.is_socket():  # noqa: ASYNC110  nobody tells
                await asyncio.sleep(0.01)
            with connect(path) as client:
                client.recv(1)
            found["heard of the command"].append(time.perf_counter() - start)
            assert await process.wait() == 0
            (attached,) = [each for each in await read_channels(store, DomId(domid)) if each.name == NEW]
            await detach(store, attached, TIMEOUT)
    return found


if __name__ == "__main__":
    what, where, runs = sys.argv[1], sys.argv[2], int(sys.argv[3])
    answer = talk(Path(where), runs) if what == "talk" else asyncio.run(attach(int(where), runs))
    print(json.dumps(answer))
