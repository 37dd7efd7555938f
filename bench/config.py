"""Reading 1,000 configurations of usual size in one process, beside Python started as often."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator

from bench.measure import alternate, command, show
from xenwire.config.xl.config import parse_config

CONFIGS = 1000
STARTS = 100
"""Python is started so often, and its time is multiplied."""

PV = """\
# web server {n}
name = "web{n}"
uuid = "5a000000-0000-4000-8000-{n:012x}"
type = "pv"
kernel = "/boot/vmlinuz-{n}"
ramdisk = "/boot/initrd-{n}"
extra = "console=hvc0 quiet"
root = "/dev/xvda1 ro"
memory = {memory}
maxmem = {memory} # MiB
vcpus = 2
disk = [ "/dev/vg0/web{n},raw,xvda,w", "format=raw,vdev=xvdb,access=rw,target=/srv/data {n}.img" ]
vif = [ "mac=00:16:3e:00:00:{octet:02x},bridge=xenbr0" ]
channel = [ "connection=socket,name=org.example.agent,path=/run/agent-{n}.sock" ]
on_crash = "preserve"
"""

PVH = """\
name='db{n}'
type='pvh'
kernel='/boot/vmlinuz'
cmdline='root=/dev/xvda console=hvc0'
memory=0x{memory:x}
vcpus=4; maxvcpus=8
cpus="0-3,^1"
cpu_weight=512
disk=[
    'format=qcow2, vdev=xvda, access=rw, target=/srv/db{n}.qcow2', # system
    '/dev/vg0/log{n},raw,xvdb,w',
]
vif=['bridge=xenbr0,rate=100Mb/s', 'script=vif-nat']
p9=["tag=share,security_model=none,path=/srv/share"]
channel=["connection=pty,name=org.example.console.{n}"]
"""

HVM = """\
name = "desktop-{n}"
uuid = '5a100000-0000-4000-8000-{n:012x}'
type = "hvm"
memory = {memory}
vcpus = 4
firmware = "ovmf"
boot = "dc"
acpi = 1
apic = 1
pae = 1
viridian = [ "defaults", "!time_ref_count" ]
localtime = 1
disk = [ "/srv/d{n}.qcow2,qcow2,hda,rw", "format=raw,vdev=hdc,access=ro,devtype=cdrom,target=/iso/setup.iso" ]
vif = [ "type=ioemu,model=e1000,mac=00:16:3e:01:00:{octet:02x},bridge=br0" ]
vga = "stdvga"
videoram = 16
vnc = 1
vnclisten = "127.0.0.1"
vncdisplay = {octet}
vncpasswd = "secret"
keymap = "de"
serial = [ "pty", "file:/var/log/d{n}.log" ]
usb = 1
usbdevice = [ "tablet", "keyboard" ]
on_poweroff = "destroy"
on_reboot = "restart"
"""


def configs() -> Iterator[bytes]:
    """Give all of them, no two the same."""
    for n in range(CONFIGS):
        text = (PV, PVH, HVM)[n % 3]
        yield text.format(n=n, memory=256 + n, octet=n % 100).encode()


def run(runs: int = 7) -> None:
    texts = list(configs())

    def ours() -> float:
        start = time.perf_counter()
        for text in texts:
            parse_config(text, "bench.cfg")
        return time.perf_counter() - start

    start_python = command([sys.executable, "-c", "pass"], os.environ)

    def starts() -> float:
        return sum(start_python() for _ in range(STARTS)) * (CONFIGS / STARTS)

    sample, peer = alternate(runs, ours, starts)
    show(f"xenwire reads {CONFIGS} configurations", sample, f"{CONFIGS} times python -c pass", peer, 0.1)
