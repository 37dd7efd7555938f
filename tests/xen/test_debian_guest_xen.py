"""The Debian guest under a real Xen, made by stock xl as a PV domain: systemd, udev's channels, the agent."""

import asyncio
import json
import subprocess

import pytest

from tests.xen.guest import Guest
from xenwire.images import build_debian_guest

pytestmark = [pytest.mark.xen, pytest.mark.timeout(1800)]

BOOT = 1200  # seconds; 60 to 100 when nothing else runs
FOLDER = "/root/debian-guest"
CONFIG = """\
name = "debian"
type = "pv"
memory = 512
kernel = "{folder}/kernel"
ramdisk = "{folder}/initrd"
extra = "{cmdline}"
disk = ["format=qcow2,vdev=xvda,access=rw,target={folder}/disk"]
channel = [
    "connection=pty,name=lost",
    "connection=pty,name=org.example.first",
    "connection=socket,path={folder}/agent,name=org.qemu.guest_agent.0",
]
"""
"""xl 4.17 loses a guest's first channel."""

REPORT = (
    "echo state: $(systemctl is-system-running --wait), channels: $(ls /dev/xen-channel),"
    " python: $(python3 -c 'print(6 * 7)')"
)
CHANNELS = "org.example.first org.qemu.guest_agent.0"


@pytest.fixture(scope="module")
def guest(lab, tmp_path_factory):
    image = asyncio.run(build_debian_guest(print))
    disk = tmp_path_factory.mktemp("debian") / "disk"
    # A third of what it takes otherwise, on the way into dom0 and there.
    subprocess.run(["qemu-img", "convert", "-c", "-O", "qcow2", image.disk, disk], check=True)

    async def put():
        async with lab.session() as session:
            await session.run(["mkdir", FOLDER])
            for path in (image.kernel, image.ramdisk, disk):
                await session.put(path, FOLDER)

    asyncio.run(put())
    guest = Guest(lab, "debian")
    guest.create(CONFIG.format(folder=FOLDER, cmdline=image.cmdline), timeout=120)
    guest.wait_for("debian login:", timeout=BOOT)
    yield guest
    guest.destroy()
    guest.run("rm", "-r", FOLDER)


def test_it_is_up_and_its_channels_have_names(guest):
    guest.type("root")
    guest.wait_for("root@debian", timeout=BOOT)
    guest.type(REPORT)
    guest.wait_for(f"state: running, channels: {CHANNELS}, python: 42", timeout=BOOT)


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
    assert osinfo["id"] == "debian"
    assert host_name == {"host-name": "debian"}
