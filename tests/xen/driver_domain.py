"""A driver domain of the lab's: a PV guest with dom0's own kernel, busybox, Python and Xenwire; no disk."""

import asyncio
import itertools

from tests.xen.guest import Guest
from xenwire.images import build_tiny_guest
from xenwire.images.dom0 import build_dom0
from xenwire.lab.package import install

CONFIG = """\
name = "{name}"
type = "pv"
memory = 320
kernel = "{folder}/kernel"
ramdisk = "{folder}/ramdisk"
extra = "console=hvc0 quiet cryptomgr.notests"
driver_domain = 1
on_crash = "preserve"
"""

INIT = """\
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir /dev/pts
mount -t devpts -o ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs tmpfs /tmp
export PATH=/bin:/usr/bin HOME=/root LANG=C.UTF-8
for module in /modules/*; do insmod "$module"; done
while :; do
    python3 /orders.py
    sleep 1
done
"""

ORDERS = """\
import subprocess, tempfile
from xenwire.xenstore import BlockingStore

done = b""
with BlockingStore.connect() as store, store.watch("data/order") as changes:
    for _ in changes:
        number, _, script = (store.get("data/order") or b"").partition(b"\\n")
        if number == done:
            continue
        with tempfile.TemporaryFile() as said:
            run = subprocess.run(["sh", "-c", script], stdin=subprocess.DEVNULL, stdout=said, stderr=said)
            said.seek(0)
            store.write("data/answer", b"%s %d\\n%s" % (number, run.returncode, said.read()[-1900:]))
        done = number
"""
"""Carry out what dom0 orders in the store, a number and a script, and answer in the 2 KB that fit there."""

ORDER = """\
data=/local/domain/$(xl domid $1)/data
xenstore-write -R $data/order "$2
$3"
while :; do
    answer=$(xenstore-read -R $data/answer 2>/dev/null)
    case $answer in "$2 "*) break ;; esac
    sleep 0.3
done
echo "$answer" | sed 1d
exit "$(echo "$answer" | sed -n '1s/.* //p')"
"""

RAMDISK = """\
set -e
cd "$1"
python=$(readlink -f /usr/bin/python3)
name=${python##*/}
mkdir -p extra && cd extra
mkdir -p bin dev modules proc root run sys tmp usr/bin usr/lib64 \
    usr/lib/python3/dist-packages usr/local/lib/$name/dist-packages
ln -s usr/lib lib
ln -s usr/lib64 lib64
cp /usr/bin/busybox /usr/local/bin/xenwire bin
cp $python usr/bin/python3
ldd $python /usr/lib/$name/lib-dynload/_ctypes.*.so | grep -o '/[^ ]* (' | tr -d ' (' | sort -u |
    while read -r library; do
        mkdir -p .${library%/*}
        cp -L $library .$library
    done
number=10
for module in xen-evtchn xen-gntdev xen-gntalloc; do modprobe --show-depends $module; done |
    while read -r _ file _; do
        cp $file modules/$number-${file##*/}
        number=$((number + 1))
    done
mv ../init ../*.py .
chmod +x init
{
    find . | busybox cpio -o -H newc
    cd /
    find usr/lib/$name usr/local/lib/$name/dist-packages/xenwire usr/lib/python3/dist-packages/click \
        '(' -name test -o -name ensurepip -o -name lib2to3 -o -name idlelib -o -name pydoc_data \
        -o -name 'config-*' ')' -prune -o -print | busybox cpio -o -H newc
} 2>/dev/null >"$1/ramdisk"
rm -r "$1/extra"
"""
"""Make a ramdisk of dom0's own files, in its folder $1. The kernel takes archives one after another."""

DRIVEN = """\
name = "driven"
type = "pv"
memory = 128
kernel = "{folder}/guest-kernel"
ramdisk = "{folder}/guest-ramdisk"
extra = "{cmdline}"
on_crash = "preserve"
"""


def put_driven(lab, folder):
    """Put a tiny guest's files into a folder of dom0's, and give its configuration: it is `driven`."""

    async def put():
        image = await build_tiny_guest(print)
        async with lab.session() as session:
            await session.put(image.kernel, f"{folder}/guest-kernel")
            await session.put(image.ramdisk, f"{folder}/guest-ramdisk")
        return image.cmdline

    return DRIVEN.format(folder=folder, cmdline=asyncio.run(put()))


class DriverDomain(Guest):
    """A guest in which commands can be run: through the store, since it has no agent and no network."""

    def __init__(self, lab, name, folder, programs=()):
        """`folder`: one of dom0's, that is made. `programs`: files that are to be in its root, in Python."""
        super().__init__(lab, name)
        self.folder = folder
        self._programs = programs
        self._numbers = itertools.count(1)

    def make(self):
        """Put Xenwire into dom0, make the files of such a domain, and have xl make it."""
        asyncio.run(self._prepare())
        self.run("sh", "-c", RAMDISK, "sh", self.folder, timeout=300)
        self.create(CONFIG.format(name=self.name, folder=self.folder), timeout=300)

    async def _prepare(self):
        dom0 = await build_dom0(self.lab.profile.release, print)
        async with self.lab.session() as session:
            await install(session)
            await session.run(["mkdir", "-p", self.folder])
            await session.put(dom0.kernel, f"{self.folder}/kernel")
        files = {
            "init": INIT,
            "orders.py": ORDERS,
            **{each.name: each.read_text() for each in self._programs},
        }
        for name, text in files.items():
            await self.run_async(
                ["sh", "-c", 'cat >"$1"', "sh", f"{self.folder}/{name}"], 60, text.encode(), 0
            )

    def inside(self, script, *, timeout=60, status=0):
        """Run a script in the domain, once it has booted, and give the end of what it says."""
        number = str(next(self._numbers))
        said = self.run("sh", "-c", ORDER, "sh", self.name, number, script, timeout=timeout, status=status)
        return said.decode("utf-8", "replace")
