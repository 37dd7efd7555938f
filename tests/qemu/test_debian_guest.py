"""The Debian guest under a plain QEMU: systemd, udev's names of ports, Python, the agent, cloud-init."""

import asyncio
import base64
import io
import json
import subprocess
import tarfile
from pathlib import Path

import click
import pytest

import xenwire
from tests.qemu.machine import Agent, Machine, read_until
from xenwire.images import build_debian_guest, nocloud_seed

# It is no Xen, and takes as long: `make test-xen` runs it.
pytestmark = [pytest.mark.qemu, pytest.mark.guest, pytest.mark.xen, pytest.mark.timeout(900)]

BOOT = 300  # seconds that it may say nothing
PORTS = {"agent": "org.qemu.guest_agent.0", "other": "org.example.other"}
USER_DATA = b"""\
#cloud-config
write_files:
- path: /root/made
  content: by cloud-init
"""
META_DATA = b"""\
instance-id: one
local-hostname: seeded
"""
CARD = "00:16:3e:00:00:01"
NETWORK_CONFIG = f"""\
version: 2
ethernets:
  card:
    match: {{macaddress: "{CARD}"}}
    addresses: [10.0.2.77/24]
"""
REPORT = """\
systemctl is-system-running --wait
cloud-init status
cat /root/made && echo
ls /dev/xen-channel
ip -brief address | grep -o 10.0.2.77
"""
UNIT = b"""\
program = /usr/bin/sed
arguments = --unbuffered s/ping/pong/
"""
GUEST = "PYTHONPATH=/opt python3 -m xenwire guest"


@pytest.fixture(scope="module")
def image():
    return asyncio.run(build_debian_guest(print))


def boot(image, *more):
    disk = ("-drive", f"file={image.disk},format=raw,if=virtio,snapshot=on")
    return Machine(image.kernel, image.ramdisk, image.cmdline, PORTS, *disk, *more, memory=512)


def test_it_does_what_its_seed_says(image, tmp_path):
    (tmp_path / "seed").write_bytes(nocloud_seed(USER_DATA, META_DATA))
    guest = boot(image, "-drive", f"file={tmp_path}/seed,format=raw,if=virtio,readonly=on")
    try:
        with guest.connect("console", BOOT) as console:
            read_until(console, b"seeded login: ")
            read_until(console, b" finished at ")  # says cloud-init
        agent = Agent(guest.connect("agent", BOOT))
        out = agent.run(
            "systemctl is-system-running --wait; cat /root/made; echo; ls /dev/virtio-ports;"
            "python3 -c 'print(6 * 7)'"
        )
        assert out.split() == ["running", "by", "cloud-init", "org.example.other", PORTS["agent"], "42"]
        assert agent("guest-get-osinfo")["id"] == "debian"
        assert agent("guest-get-host-name") == {"host-name": "seeded"}
        # A port by its name, from end to end.
        with guest.connect("other", BOOT) as client:
            agent.run(f"echo hello >/dev/virtio-ports/{PORTS['other']}")
            read_until(client, b"hello")
        serves_by_name(guest, agent)
        agent.close()
    finally:
        guest.close()


def serves_by_name(guest, agent):
    """`xenwire guest`, put into the guest as it is here."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as packages:
        for package in (xenwire, click):
            folder = Path(package.__file__).parent
            packages.add(
                folder, folder.name, filter=lambda info: None if "__pycache__" in info.name else info
            )
    put(agent, "/root/packages.tgz", archive.getvalue())
    put(agent, "/root/unit", UNIT)
    agent.run("mkdir -p /opt /etc/xenwire/channels.d; tar xzf /root/packages.tgz -C /opt")
    found = {each["name"]: each for each in json.loads(agent.run(f"{GUEST} channels -o json"))}
    assert found.keys() == set(PORTS.values())
    assert {each["kind"] for each in found.values()} == {"virtio"}
    with guest.connect("other", BOOT) as client:
        agent.run(f"printf 'said by name' | {GUEST} open {PORTS['other']}")
        read_until(client, b"said by name")
        agent.run(f"mv /root/unit /etc/xenwire/channels.d/{PORTS['other']}.unit")
        agent.run("systemd-run --quiet --setenv=PYTHONPATH=/opt python3 -m xenwire guest run")
        client.sendall(b"ping\n")
        read_until(client, b"pong")


def put(agent, path, data):
    handle = agent("guest-file-open", path=path, mode="w")
    for at in range(0, len(data), 1 << 15):
        text = base64.b64encode(data[at : at + (1 << 15)]).decode()
        agent("guest-file-write", **{"handle": handle, "buf-b64": text})
    agent("guest-file-close", handle=handle)


def test_it_does_what_a_channel_says(host):
    """Its name comes from the domain's, since there is no meta-data."""
    disk, user_data, network = (host.folder / name for name in ("disk", "user-data", "network-config"))
    argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", host.image.disk, disk]
    subprocess.run(argv, check=True)
    user_data.write_bytes(USER_DATA)
    network.write_text(NETWORK_CONFIG)
    names = "org.qemu.guest_agent.0", "org.xenwire.seed.0"
    config = host.config(
        "seeded",
        memory=512,
        disk=[f"format=qcow2,vdev=xvda,access=rw,target={disk}"],
        vif=[f"mac={CARD}"],
        channels=[f"connection=socket,name={name},path={host.folder}/{name}" for name in names],
    )
    host.ok("create", config)
    host.ok("channel", "seed", "seeded", "--user-data", user_data, "--network-config", network, timeout=BOOT)
    agent = ("agent", "exec", "seeded", "--timeout", f"{BOOT}s", "--", "sh", "-c", REPORT)
    out = host.ok(*agent, timeout=2 * BOOT).split()
    assert out == ["running", "status:", "done", "by", "cloud-init", *names, "10.0.2.77"]
    assert json.loads(host.ok("agent", "info", "seeded", "--json"))["host_name"] == "seeded"
