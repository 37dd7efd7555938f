"""The tiny guest under a real Xen, made by stock xl: its console, its channels, how it ends."""

import asyncio
import json

import pytest

from tests.xen.guest import Guest
from xenwire.images import build_tiny_guest

pytestmark = [pytest.mark.xen, pytest.mark.timeout(1200)]

BOOT = 700  # seconds; QEMU hands an HVM guest its kernel byte by byte: 100 when nothing else runs
FOLDER = "/tmp/tiny-guest"
CONFIG = """\
name = "tiny-{kind}"
type = "{kind}"
memory = 256
kernel = "{folder}/{kernel}"
ramdisk = "{folder}/ramdisk"
extra = "{cmdline} hostname=tiny-{kind}"
channel = [
    "connection=pty,name=lost",
    "connection=socket,path={folder}/echo,name=org.xenwire.echo.0",
    "connection=socket,path={folder}/agent,name=org.qemu.guest_agent.0",
    "connection=pty,name=org.example.other",
]
on_reboot = "destroy"
on_crash = "preserve"
"""
"""xl 4.17 loses a guest's first channel."""

HOT_PLUG = """\
domain=$(xl domid "$1")
front=/local/domain/$domain/device/console/4
back=/local/domain/0/backend/console/$domain/4
xenstore-write "$front" ""
xenstore-chmod "$front" "n$domain" r0
xenstore-write "$back" ""
xenstore-chmod "$back" n0 "r$domain"
xenstore-write \
    "$back/frontend" "$front" "$back/frontend-id" "$domain" "$back/online" 1 "$back/state" 1 \
    "$back/protocol" vt100 \
    "$front/backend" "$back" "$front/backend-id" 0 "$front/limit" 1048576 "$front/type" ioemu \
    "$front/output" pty "$front/tty" "" "$front/protocol" vt100 "$front/name" org.xenwire.echo.late \
    "$front/state" 1
until tty=$(xenstore-read "$front/tty") && [ "$tty" ] && [ "$(xenstore-read "$front/state")" = 4 ]; do
    sleep 0.1
done
echo "$tty"
"""
"""Attach one more channel to a running domain and give its pty. The QEMU of its others serves it as well."""


@pytest.fixture(scope="module")
def image():
    return asyncio.run(build_tiny_guest(print))


@pytest.fixture(scope="module")
def files(lab, image):
    """The image's files, in dom0."""

    async def put():
        async with lab.session() as session:
            await session.run(["mkdir", FOLDER])
            for path in (image.kernel, image.bzimage, image.ramdisk):
                await session.put(path, FOLDER)

    asyncio.run(put())


@pytest.fixture(scope="module", params=["pv", "pvh", "hvm"])
def guest(lab, image, files, request):
    kind = request.param
    guest = Guest(lab, f"tiny-{kind}")
    kernel = image.bzimage if kind == "hvm" else image.kernel
    guest.create(CONFIG.format(kind=kind, folder=FOLDER, kernel=kernel.name, cmdline=image.cmdline), BOOT)
    guest.wait_for("xenwire guest: ready", timeout=BOOT)
    yield guest
    guest.destroy()


def test_console(guest):
    guest.type("echo up''$((6 * 7)) on $(hostname): $(ls /dev/xen-channel)")
    guest.wait_for(f"up42 on {guest.name}: org.example.other org.qemu.guest_agent.0 org.xenwire.echo.0")


def test_echo(guest):
    every_byte = bytes(range(256)) * 40
    for _client in range(2):
        assert guest.talk(f"{FOLDER}/echo", every_byte, count=len(every_byte)) == every_byte


def test_agent(guest):
    requests = [
        {"execute": "guest-sync-delimited", "arguments": {"id": 7}},
        {"execute": "guest-get-osinfo"},
        {"execute": "guest-get-host-name"},
    ]
    lines = b"".join(json.dumps(request).encode() + b"\n" for request in requests)
    out = guest.talk(f"{FOLDER}/agent", lines, unit=ord("\n"), count=len(requests))
    sync, osinfo, host_name = (json.loads(line)["return"] for line in out.split(b"\xff")[-1].splitlines())
    assert sync == 7
    assert osinfo["id"] == "xenwire-tiny-guest"
    assert host_name == {"host-name": guest.name}


def test_a_channel_that_comes_later(guest):
    pty = guest.shell(HOT_PLUG).decode().strip()
    name = "org.xenwire.echo.late"
    guest.type(f"until [ -e /dev/xen-channel/{name} ]; do usleep 100000; done; echo late''ly")
    guest.wait_for("lately")
    every_byte = bytes(range(256))
    assert guest.talk(pty, every_byte, count=len(every_byte)) == every_byte


def test_its_end(guest):
    """By its own poweroff, or by its toolstack's."""
    if guest.name == "tiny-pv":
        guest.type("poweroff")
    else:
        guest.run("xl", "shutdown", guest.name)
    guest.wait_for_end()
