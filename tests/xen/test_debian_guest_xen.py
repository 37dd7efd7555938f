"""The Debian guest under a real Xen, as a PV domain: seeded over a channel, and asked over another. With its
systemd it serves another guest's channels, too.
"""

import asyncio
import json
import subprocess

import pytest

from tests.xen.driver_domain import put_driven
from tests.xen.guest import ECHOED, Guest
from xenwire.images import build_debian_guest
from xenwire.lab.package import install

pytestmark = [pytest.mark.xen, pytest.mark.timeout(3600)]

BOOT = 1200  # seconds; 760 until cloud-init is done, with a load of 5 on two cores
FOLDER = "/root/debian-guest"
CONFIG = """\
name = "seeded"
type = "pv"
memory = 512
kernel = "{folder}/kernel"
ramdisk = "{folder}/initrd"
extra = "{cmdline}"
disk = [
    "format=qcow2,vdev=xvda,access=rw,target={folder}/disk",
    "format=raw,backendtype=qdisk,vdev=xvdb,access=rw,target={folder}/xenwire.tar",
]
driver_domain = 1
channel = [
    "connection=pty,name=org.example.first",
    "connection=socket,path={folder}/agent,name=org.qemu.guest_agent.0",
    "connection=socket,path={folder}/seed,name=org.xenwire.seed.0",
]
"""
"""The second disk is Xenwire, for the guest to unpack; QEMU 7.2 cannot serve a read-only one."""
USER_DATA = b"""\
#cloud-config
write_files:
- path: /root/made
  content: by cloud-init
"""

REPORT = """\
echo state: $(systemctl is-system-running --wait), channels: $(ls /dev/xen-channel)
echo made: $(cat /root/made), python: $(python3 -c 'print(6 * 7)')
"""
PACK = """\
cd /
tar -cf "$1/xenwire.tar" usr/local/bin/xenwire usr/local/lib/python3.*/dist-packages/xenwire \
    usr/lib/python3/dist-packages/click
"""
INSTALL = """\
set -e
tar -xf /dev/xvdb -C /
modprobe -a xen-evtchn xen-gntdev
xenwire serve --unit xenwire-serve.service >/etc/systemd/system/xenwire-serve.service
systemctl enable --now xenwire-serve
"""
CONFINED = """\
pid=$(systemctl show --property MainPID --value xenwire-serve)
grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/$pid/status | tr -d '\\t' | tr '\\n' ' '
"""
CHANNELS = "org.example.first org.qemu.guest_agent.0 org.xenwire.seed.0"


@pytest.fixture(scope="module")
def guest(lab, tmp_path_factory):
    image = asyncio.run(build_debian_guest(print))
    disk = tmp_path_factory.mktemp("debian") / "disk"
    # A third of what it takes otherwise, on the way into dom0 and there.
    subprocess.run(["qemu-img", "convert", "-c", "-O", "qcow2", image.disk, disk], check=True)

    async def prepare():
        async with lab.session() as session:
            await install(session)
            await session.run(["mkdir", FOLDER])
            for path in (image.kernel, image.ramdisk, disk):
                await session.put(path, FOLDER)
            await session.run(["sh", "-c", PACK, "sh", FOLDER])

    asyncio.run(prepare())
    guest = Guest(lab, "seeded")
    config = CONFIG.format(folder=FOLDER, cmdline=image.cmdline)
    guest.create(config, 300, ("xenwire", "create", "--backend", "xenwire", "--timeout", "200s"))
    yield guest
    guest.shell(f"xl destroy $1 2>/dev/null; pkill -f '[x]enwire serve'; rm -r {FOLDER}")


def agent(guest, *arguments):
    return guest.run("xenwire", "agent", *arguments, timeout=BOOT).decode()


def test_cloud_init_does_what_a_channel_says(guest):
    guest.shell(
        f"cat >{FOLDER}/user-data; xenwire channel seed $1 --user-data {FOLDER}/user-data --timeout {BOOT}s",
        stdin=USER_DATA,
        timeout=BOOT,
    )
    limit = ("--timeout", f"{BOOT}s")
    agent(guest, "ping", guest.name, *limit)
    assert agent(guest, "exec", guest.name, *limit, "--", "sh", "-c", REPORT).splitlines() == [
        f"state: running, channels: {CHANNELS}",
        "made: by cloud-init, python: 42",
    ]


def test_agent(guest):
    info = json.loads(agent(guest, "info", guest.name, "--json", "--timeout", "120s"))
    assert (info["os_id"], info["host_name"]) == ("debian", "seeded")


def test_its_console(guest):
    guest.wait_for(" login: ", timeout=BOOT)


def within(guest, script):
    """Run a script in the guest, and give what it says."""
    return agent(guest, "exec", guest.name, "--timeout", "300s", "--", "sh", "-c", script)


@pytest.fixture
def driven(lab, guest):
    """A guest whose channel the Debian guest serves, by the unit of systemd's."""
    within(guest, INSTALL)
    driven = Guest(lab, "driven")
    driven.create(put_driven(lab, FOLDER), 300)
    driven.wait_for_boot()
    driven.shell(
        f"xenwire channel attach $1 org.xenwire.echo.far --backend {guest.name} --socket /run/echo.sock",
        timeout=200,
    )
    yield driven
    driven.destroy()


def test_the_unit_of_systemd_serves(guest, driven):
    """As hardened as it is, and through a restart and a kill."""
    talk = f"python3 -c '{ECHOED}'"
    assert within(guest, talk) == "True 2048\n"
    # It may change owners of what it makes, and use files whatever their mode; nothing else is left to it.
    assert within(guest, CONFINED) == "CapEff:000000000000000b NoNewPrivs:1 Seccomp:2 "
    within(guest, "systemctl restart xenwire-serve")
    assert within(guest, talk) == "True 2048\n"
    within(guest, "systemctl kill --signal=KILL xenwire-serve")
    assert within(guest, f"until {talk} 2>/dev/null; do sleep 0.2; done") == "True 2048\n"
    assert within(guest, "systemctl show --property NRestarts --value xenwire-serve") == "1\n"
    assert "WARNING" not in within(guest, "journalctl --unit xenwire-serve")
