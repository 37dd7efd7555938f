"""The tiny guest under a real Xen, made by stock xl: its console, its channels, how it ends."""

import asyncio
import json

import pytest

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
extra = "{cmdline} hostname={kind}"
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

CLIENT = """\
import os, socket, stat, sys, tty
path, unit, count = sys.argv[1], *map(int, sys.argv[2:])
if stat.S_ISSOCK(os.stat(path).st_mode):
    client = socket.socket(socket.AF_UNIX)
    client.connect(path)
    fd = client.fileno()
else:
    fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(fd)
left = sys.stdin.buffer.read()
while left:
    left = left[os.write(fd, left):]
data = b""
while (data.count(unit) if unit >= 0 else len(data)) < count:
    data += os.read(fd, 4096)
sys.stdout.buffer.write(data)
"""
"""Send what is on stdin, and take `count` bytes, or as many bytes of the value `unit`.

QEMU takes the end of what a client sends for the end of the client, and forgets what it had for it.
"""

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


class Guest:
    """A domain of the lab's."""

    def __init__(self, lab, kind):
        self.lab = lab
        self.kind = kind
        self.name = f"tiny-{kind}"

    def run(self, *argv, timeout=60, stdin=None):
        """Run a command in dom0, which has to succeed, and give its output."""
        return asyncio.run(self.run_async(argv, timeout, stdin))

    async def run_async(self, argv, timeout, stdin):
        out = bytearray()

        async def take(data):
            out.extend(data)

        async with self.lab.session() as session:
            status = await session.run(argv, timeout=timeout, stdin=stdin, on_stdout=take, on_stderr=take)
        assert status == 0, out.decode()
        return bytes(out)

    def shell(self, script, **options):
        return self.run("sh", "-c", script, "sh", self.name, **options)

    def wait_for(self, text, timeout=60):
        """Wait until the guest's console has shown this."""
        log = f"/var/log/xen/guest-{self.name}.log"
        self.shell(f"until grep -q '{text}' {log}; do sleep 1; done", timeout=timeout)

    def type(self, line):
        """Type a line at the guest's console."""
        domain = "/local/domain/$(xl domid $1)"
        self.shell(f"cat >$(xenstore-read {domain}/console/tty)", stdin=line.encode() + b"\n")

    def talk(self, path, data, *, unit=-1, count):
        """Send to a channel's socket or pty, and give what comes back: see `CLIENT`."""
        return self.run("python3", "-S", "-c", CLIENT, path, str(unit), str(count), stdin=data)

    def wait_for_end(self):
        self.shell("while xl domid $1 2>/dev/null; do sleep 0.2; done")


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
    guest = Guest(lab, request.param)
    kernel = image.bzimage if guest.kind == "hvm" else image.kernel
    config = CONFIG.format(kind=guest.kind, folder=FOLDER, kernel=kernel.name, cmdline=image.cmdline)
    guest.shell(f"rm -f /var/log/xen/guest-$1.log; cat >{FOLDER}/config", stdin=config.encode())
    guest.run("xl", "create", f"{FOLDER}/config", timeout=BOOT)
    guest.wait_for("xenwire guest: ready", timeout=BOOT)
    yield guest
    guest.shell("xl destroy $1 2>/dev/null || true")


def test_console(guest):
    guest.type("echo up''$((6 * 7)) on $(hostname): $(ls /dev/xen-channel)")
    guest.wait_for(f"up42 on {guest.kind}: org.example.other org.qemu.guest_agent.0 org.xenwire.echo.0")


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
    assert host_name == {"host-name": guest.kind}


def test_a_channel_that_comes_later(guest):
    pty = guest.shell(HOT_PLUG).decode().strip()
    name = "org.xenwire.echo.late"
    guest.type(f"until [ -e /dev/xen-channel/{name} ]; do usleep 100000; done; echo late''ly")
    guest.wait_for("lately")
    every_byte = bytes(range(256))
    assert guest.talk(pty, every_byte, count=len(every_byte)) == every_byte


def test_its_end(guest):
    """By its own poweroff, or by its toolstack's."""
    if guest.kind == "pv":
        guest.type("poweroff")
    else:
        guest.run("xl", "shutdown", guest.name)
    guest.wait_for_end()
