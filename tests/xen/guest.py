"""A guest of the lab's, made by stock xl: its console, and its channels as dom0 has them."""

import asyncio
import warnings
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager

from xenwire.errors import TimedOut, XenwireError

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

ECHOED = """\
import socket
client = socket.socket(socket.AF_UNIX)
client.connect("/run/echo.sock")
client.settimeout(120)
data = bytes(range(256)) * 8
client.sendall(data)
got = b""
while len(got) < len(data) and (piece := client.recv(65536)):
    got += piece
print(got == data, len(got))
"""
"""In a driver domain: send bytes to a guest that echoes, and tell whether the same come back."""


class Guest:
    """A domain of the lab's."""

    def __init__(self, lab, name):
        self.lab = lab
        self.name = name

    def create(self, config, timeout, command=("xl", "create")):
        """Have it made, by xl if nothing else is said, with a log of its console that begins anew."""
        self.shell("rm -f /var/log/xen/guest-$1.log; cat >/tmp/$1.cfg", stdin=config.encode())
        self.run(*command, f"/tmp/{self.name}.cfg", timeout=timeout)

    def destroy(self):
        self.shell("xl destroy $1 2>/dev/null || true")

    def run(self, *argv, timeout=60, stdin=None, status=0):
        """Run a command in dom0, which has to end with this status, and give its output."""
        return asyncio.run(self.run_async(argv, timeout, stdin, status))

    async def run_async(self, argv, timeout, stdin, status):
        out = bytearray()

        async def take(data):
            out.extend(data)

        async with self.lab.session() as session:
            ended = await session.run(argv, timeout=timeout, stdin=stdin, on_stdout=take, on_stderr=take)
        assert ended == status, out.decode()
        return bytes(out)

    def shell(self, script, **options):
        """Run a script, whose $1 is the guest's name, and give its output as text."""
        return self.run("sh", "-c", script, "sh", self.name, **options).decode("utf-8", "replace")

    def wait_for(self, text, timeout=60):
        """Wait until the guest's console has shown this."""
        log = f"/var/log/xen/guest-{self.name}.log"
        self.shell(f"until grep -qs '{text}' {log}; do sleep 1; done", timeout=timeout)

    def wait_for_boot(self, timeout=300):
        """Wait until the tiny guest is ready, as long as it lives."""
        ready = f"grep -qs 'xenwire guest: ready' /var/log/xen/guest-{self.name}.log"
        self.shell(f"until {ready}; do sleep 1; xl domid $1 >/dev/null || exit; done", timeout=timeout)

    def type(self, line):
        """Type a line at the guest's console."""
        domain = "/local/domain/$(xl domid $1)"
        self.shell(f"cat >$(xenstore-read {domain}/console/tty)", stdin=line.encode() + b"\n")

    def answers(self):
        """Tell whether its console is alive."""
        try:
            self.type("echo still''here")
            self.wait_for("stillhere", timeout=60)
        except (AssertionError, TimedOut):
            return False
        return True

    def talk(self, path, data, *, unit=-1, count):
        """Send to a channel's socket or pty, and give what comes back: see `CLIENT`."""
        return self.run("python3", "-S", "-c", CLIENT, path, str(unit), str(count), stdin=data)

    def wait_for_end(self):
        self.shell("while xl domid $1 2>/dev/null; do sleep 0.2; done")


def was_reset(guest):
    """Tell whether Xen says that a guest was; mostly that shows while one boots."""
    return "Triple fault" in guest.shell("xl dmesg")


def on_an_emulated_processor(
    lab,
    running: Callable[[], AbstractContextManager[Guest]],
    checks: Iterable[Callable[[Guest], None]],
    is_lost: Callable[[Guest], bool] = was_reset,
    attempts=3,
):
    """Check a guest in a virtual machine: QEMU's emulation of SVM now and then resets one that did no wrong.

    One PVH guest of four, or with `tsc_mode = "native"` of eight, is lost so. Then all is done again with
    another guest.
    """
    for attempts_left in reversed(range(attempts)):
        Guest(lab, "").shell("xl dmesg -c >/dev/null")  # what is told of others
        with running() as guest:
            try:
                for check in checks:
                    check(guest)
            except (AssertionError, XenwireError):
                if not attempts_left or not is_lost(guest):
                    raise
            else:
                return
        warnings.warn("QEMU has reset a guest: it is tried anew", stacklevel=2)
