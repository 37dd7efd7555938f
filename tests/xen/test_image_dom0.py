"""The dom0 image, really built and booted: Xen, its dom0 and xl answer under QEMU's software emulation."""

import asyncio
import subprocess

import pytest

from xenwire.images import Release, build_dom0
from xenwire.images.cpio import Entry, archive

pytestmark = [pytest.mark.xen, pytest.mark.timeout(900)]

INIT = b"""\
#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
for module in xenfs xen-evtchn xen-gntdev xen-gntalloc xen-privcmd; do modprobe $module; done
mount -t xenfs xenfs /proc/xen
mkdir -p /run/xen /run/xenstored
cd /usr/lib/xen-*/bin
./xenstored
./xen-init-dom0
echo "arguments: $*"
echo "hostname: $(cat /etc/hostname)"
echo "owner: $(stat -c %G /var/mail)"
xl list
xl info xen_version
python3 -c 'import click; print("python can click")'
echo 1 >/proc/sys/kernel/sysrq
echo o >/proc/sysrq-trigger
sleep 60
"""


@pytest.mark.parametrize(("release", "version"), [(Release.BOOKWORM, "4.17"), (Release.TRIXIE, "4.20")])
def test_it_boots(release, version, tmp_path):
    image = asyncio.run(build_dom0(release, print))
    initrd = tmp_path / "initrd"
    added = archive([Entry.folder("xenwire"), Entry.file("xenwire/init", INIT, executable=True)])
    initrd.write_bytes(image.initrd.read_bytes() + added)
    options = "console=hvc0 root=/dev/vda rw init=/run/xenwire/init quiet -- passed on"
    argv = ["qemu-system-x86_64", "-machine", "q35", "-cpu", "qemu64,+svm,+npt", "-accel", "tcg,thread=multi"]
    argv += ["-m", "2G", "-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot"]
    argv += [
        "-kernel",
        str(image.hypervisor),
        "-append",
        "console=com1 dom0_mem=1000M,max:1000M loglvl=warning",
    ]
    argv += ["-initrd", f"{image.kernel} {options},{initrd}"]
    argv += ["-drive", f"file={image.root},format=raw,if=virtio,snapshot=on"]
    machine = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=True)
    lines = machine.stdout.decode(errors="replace").splitlines()
    for line in (
        "arguments: passed on",
        "hostname: dom0",
        "owner: mail",
        "python can click",
    ):
        assert line in lines
    assert any(line.startswith("Domain-0 ") for line in lines)
    assert any(line.startswith(version) for line in lines)
