"""The tiny guest under a real Xen, made by stock xl: its console, its channels, one of ours, how it ends."""

import asyncio
import json
from contextlib import contextmanager

import pytest

from tests.xen.guest import Guest, on_an_emulated_processor
from xenwire.images import build_tiny_guest
from xenwire.lab.package import install

pytestmark = [pytest.mark.xen, pytest.mark.timeout(2400)]

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
    "connection=socket,path={folder}/lost,name=org.xenwire.echo.lost",
    "connection=socket,path={folder}/echo,name=org.xenwire.echo.0",
    "connection=socket,path={folder}/agent,name=org.qemu.guest_agent.0",
    "connection=pty,name=org.example.other",
]
tsc_mode = "native"
on_reboot = "destroy"
on_crash = "preserve"
"""
"""xl 4.17 loses a guest's first channel."""
OUR_MODEL = f"""\
device_model_version = "qemu-xen"
device_model_override = "/usr/local/bin/xenwire-dm"
disk = ["format=raw,vdev=hdc,access=ro,devtype=cdrom,target={FOLDER}/1.iso"]
"""


@pytest.fixture(scope="module")
def image():
    return asyncio.run(build_tiny_guest(print))


@pytest.fixture(scope="module")
def files(lab, image):
    """The image's files, and Xenwire, in dom0."""

    async def put():
        async with lab.session() as session:
            await install(session)
            await session.run(["mkdir", FOLDER])
            for path in (image.kernel, image.bzimage, image.ramdisk):
                await session.put(path, FOLDER)
            for disc in ("1.iso", "2.iso"):
                await session.run(["truncate", "--size", "1M", f"{FOLDER}/{disc}"])

    asyncio.run(put())


@contextmanager
def running(lab, image, kind, more=""):
    """Such a guest, which has begun to boot."""
    guest = Guest(lab, f"tiny-{kind}")
    kernel = image.bzimage if kind == "hvm" else image.kernel
    config = CONFIG.format(kind=kind, folder=FOLDER, kernel=kernel.name, cmdline=image.cmdline)
    try:
        guest.create(config + more, BOOT)
        yield guest
    finally:
        guest.destroy()


@pytest.fixture(scope="module")
def guest(lab, image, files):
    with running(lab, image, "pv") as guest:
        boots(guest)
        yield guest


def boots(guest):
    guest.wait_for_boot(BOOT)


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
    """QEMU serves the others of this domain, and leaves ours alone."""
    name = "org.xenwire.echo.late"
    guest.run("xenwire", "channel", "attach", guest.name, name, "--socket", f"{FOLDER}/late")
    guest.type(f"until [ -e /dev/xen-channel/{name} ]; do usleep 100000; done; echo late''ly")
    guest.wait_for("lately")
    every_byte = bytes(range(256))
    assert guest.talk(f"{FOLDER}/late", every_byte, count=len(every_byte)) == every_byte
    guest.run("xenwire", "channel", "detach", guest.name, name)
    guest.type(f"while [ -e /dev/xen-channel/{name} ]; do usleep 100000; done; echo go''ne")
    guest.wait_for("gone")


def test_the_channel_that_xl_has_lost(guest):
    assert f"channel repair {guest.name}" in guest.shell("xenwire channel list $1")
    guest.run("xenwire", "channel", "repair", guest.name)
    every_byte = bytes(range(256))
    assert guest.talk(f"{FOLDER}/lost", every_byte, count=len(every_byte)) == every_byte
    assert "repair" not in guest.shell("xenwire channel list $1")


def test_its_end(guest):
    """By its own poweroff, or by its toolstack's."""
    if guest.name == "tiny-pv":
        guest.type("poweroff")
    else:
        guest.run("xl", "shutdown", guest.name)
    guest.wait_for_end()


CHECKS = (
    boots,
    test_console,
    test_echo,
    test_agent,
    test_a_channel_that_comes_later,
    test_the_channel_that_xl_has_lost,
    test_its_end,
)


def drives_our_device_model(guest):
    """What xl asks of a device model, asked of ours, with an operating system in the guest."""
    guest.run("xl", "pause", guest.name)
    assert "--p---" in guest.shell("xl list $1")
    guest.run("xl", "unpause", guest.name)
    assert "running" in guest.shell('xl qemu-monitor-command $1 "info status"')
    test_echo(guest)
    drive = 'xl qemu-monitor-command $1 "info block" | grep ^ide-5632'
    assert f"{FOLDER}/1.iso" in guest.shell(drive)
    guest.shell("xl cd-eject $1 hdc")
    assert "not inserted" in guest.shell(drive)
    guest.shell(f"xl cd-insert $1 hdc {FOLDER}/2.iso")
    assert "/dev/fdset/" in guest.shell(drive)
    guest.shell(f"xl save $1 {FOLDER}/saved >&2", timeout=300)
    guest.shell(f"xl restore {FOLDER}/saved >&2; rm {FOLDER}/saved", timeout=300)
    told = json.loads(guest.shell("xenwire dm status $1 -o json"))
    assert (told["state"], told["runstate"]) == ("running", "running")
    test_console(guest)
    test_echo(guest)


def test_pvh(lab, image, files):
    """All that at a guest in a virtual machine."""
    on_an_emulated_processor(lab, lambda: running(lab, image, "pvh"), CHECKS, attempts=5)


def test_hvm(lab, image, files):
    """All that at a guest in a virtual machine, whose device model is ours."""
    checks = (
        boots,
        test_console,
        test_echo,
        test_agent,
        test_a_channel_that_comes_later,
        drives_our_device_model,
        test_its_end,
    )
    on_an_emulated_processor(
        lab, lambda: running(lab, image, "hvm", OUR_MODEL), checks, is_lost=lambda guest: not guest.answers()
    )
