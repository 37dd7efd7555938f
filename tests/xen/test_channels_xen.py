"""Channels that we serve, on real guests: from the start, hot attach, kill, detach, destroy (seed 002)."""

import asyncio
import json

import pytest

from xenwire.images import build_tiny_guest
from xenwire.lab.package import install

pytestmark = [pytest.mark.xen, pytest.mark.timeout(900)]

FOLDER = "/tmp/channels"
NAME = "org.xenwire.echo.hot"
CONFIG = """\
name = "chan-{kind}"
type = "{kind}"
memory = 256
kernel = "{folder}/{kernel}"
ramdisk = "{folder}/ramdisk"
extra = "{cmdline}"
on_crash = "preserve"
channel = [ "connection=socket,name=org.xenwire.echo.cold,path={folder}/cold.sock" ]
"""

TALK = """\
import socket, sys
client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
client.settimeout(60)
data = sys.stdin.buffer.read()
client.sendall(data)
got = b""
while len(got) < len(data) and (piece := client.recv(65536)):
    got += piece
print(got == data, len(got))
"""
"""Send what is on stdin to a socket, and tell whether the same comes back."""


class Guest:
    """A domain of the lab's, and commands in dom0."""

    def __init__(self, lab, kind):
        self.lab = lab
        self.name = f"chan-{kind}"

    def shell(self, script, *, timeout=90, stdin=None, status=0):
        async def run():
            out = bytearray()

            async def take(data):
                out.extend(data)

            async with self.lab.session() as session:
                ended = await session.run(
                    ["sh", "-c", script, "sh", self.name],
                    timeout=timeout,
                    stdin=stdin,
                    on_stdout=take,
                    on_stderr=take,
                )
            assert ended == status, out.decode()
            return out.decode()

        return asyncio.run(run())

    def echoes(self, path, data=bytes(range(256)) * 8):
        return self.shell(f"python3 -S -c '{TALK}' {path}", stdin=data)


@pytest.fixture(scope="module", params=["pv", "pvh"])
def guest(lab, request):
    guest = Guest(lab, request.param)

    async def prepare():
        image = await build_tiny_guest(print)
        async with lab.session() as session:
            await install(session)
            await session.run(["rm", "-rf", FOLDER])
            await session.run(["mkdir", FOLDER])
            for path in (image.kernel, image.ramdisk):
                await session.put(path, FOLDER)
        return image

    image = asyncio.run(prepare())
    config = CONFIG.format(kind=request.param, folder=FOLDER, kernel=image.kernel.name, cmdline=image.cmdline)
    guest.shell(f"rm -f /var/log/xen/guest-$1.log; cat >{FOLDER}/config", stdin=config.encode())
    guest.shell(f"xenwire create {FOLDER}/config --backend xenwire --timeout 200s", timeout=300)
    guest.shell(
        "until grep -q 'xenwire guest: ready' /var/log/xen/guest-$1.log; do sleep 0.5; done", timeout=300
    )
    yield guest
    guest.shell("xl destroy $1 2>/dev/null; pkill -f '[x]enwire serve'; true")


def test_a_channel_that_was_there_first(guest):
    assert "True" in guest.echoes(f"{FOLDER}/cold.sock")


def test_a_channel_comes_to_a_running_guest(guest):
    guest.shell(f"xenwire channel attach $1 {NAME} --socket {FOLDER}/echo.sock")
    guest.shell(
        "front=/local/domain/$(xl domid $1)/device/console/2\n"
        'until [ "$(xenstore-read $front/state)" = 4 ]; do sleep 0.1; done'
    )
    assert "True" in guest.echoes(f"{FOLDER}/echo.sock")
    _, channel = json.loads(guest.shell("xenwire channel list $1 -o json"))
    assert (channel["name"], channel["devid"], channel["state"]) == (NAME, 2, "connected")


def test_xl_sees_it(guest):
    assert "socket" in guest.shell("xl channel-list $1")


def test_a_second_one_that_is_a_terminal(guest):
    guest.shell("xenwire channel attach $1 org.xenwire.echo.tty --pty")
    assert "/dev/pts/" in guest.shell("xenstore-read /local/domain/$(xl domid $1)/device/console/3/tty")


def test_the_backend_is_killed_and_nobody_notices(guest):
    guest.shell("pkill -KILL -f '[x]enwire serve'")
    guest.shell("setsid xenwire serve >/root/serve.log 2>&1 &")
    guest.shell(
        f"until [ -S {FOLDER}/echo.sock ] && xenwire channel list $1 | grep -q connected; do sleep 0.3; done"
    )
    assert "True" in guest.echoes(f"{FOLDER}/echo.sock")
    assert guest.shell("xenstore-read /local/domain/$(xl domid $1)/device/console/2/state").strip() == "4"


def test_one_is_taken_away(guest):
    guest.shell("xenwire channel detach $1 org.xenwire.echo.tty", timeout=60)
    guest.shell("xenstore-exists /local/domain/0/backend/console/$(xl domid $1)/3", status=1)
    assert "True" in guest.echoes(f"{FOLDER}/echo.sock")


def test_a_domain_that_is_destroyed_leaves_nothing(guest):
    guest.shell("id=$(xl domid $1); xl destroy $1; ! xl list | grep -w $1 && ! xl list | grep -w '(null)'")
    guest.shell(
        f"until ! [ -e {FOLDER}/echo.sock ] && ! ls /run/xenwire/spool/* 2>/dev/null; do sleep 0.2; done"
    )
    guest.shell("xenstore-exists /local/domain/0/backend/console", status=1)
