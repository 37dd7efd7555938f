"""Our device model, started and driven by a real xl: as qemu-xen, and by seed 001 as qemu-xen-traditional."""

import asyncio
import json
import time
from contextlib import contextmanager

import pytest

from tests.xen.firmware import firmware
from tests.xen.guest import Guest, on_an_emulated_processor
from xenwire.images import build_tiny_guest
from xenwire.lab import Lab, Profile
from xenwire.lab.package import install

pytestmark = [pytest.mark.xen, pytest.mark.timeout(900)]

FOLDER = "/root/dm"
CONFIG = """\
name = "dm-{kind}"
type = "hvm"
memory = 64
cap = 20
firmware_override = "{folder}/firmware"
device_model_version = "{kind}"
device_model_override = "/usr/local/bin/xenwire-dm"
serial = "file:{folder}/dm-{kind}.log"
vga = "none"
vnc = 0
on_crash = "preserve"
on_reboot = "preserve"
"""
LINUX = """\
name = "dm-linux"
type = "hvm"
memory = 256
kernel = "{folder}/{kernel}"
ramdisk = "{folder}/ramdisk"
extra = "{cmdline}"
device_model_version = "qemu-xen"
device_model_override = "/usr/local/bin/xenwire-dm"
passthrough = "enabled"
vnc = 0
on_crash = "preserve"
"""
LINUX_BOOT = 700  # seconds; see test_tiny_guest_xen.py
MODEL = "/local/domain/0/device-model/$(xl domid $1)"
COUNTS = f"""\
size() {{ stat -c %s {FOLDER}/$1.log; }}
old=$(size $1)
for i in $(seq 50); do
    sleep 0.2
    [ "$(size $1)" = "$old" ] || exec echo yes
done
"""
"""Whether the guest's serial port shows that it goes on, within 10 s."""


@contextmanager
def running(lab, name, config, timeout):
    """A guest that xl has made, with Xenwire in dom0."""

    async def prepare():
        async with lab.session() as session:
            await install(session)

    asyncio.run(prepare())
    guest = Guest(lab, name)
    try:
        guest.create(config, timeout)
        yield guest
    finally:
        guest.destroy()


def on_a_guest(lab, kind, work, more=""):
    """Have xl make a guest of our firmware only, and do something with it."""
    Guest(lab, "").shell(f"mkdir -p {FOLDER}; cat >{FOLDER}/firmware", stdin=firmware())
    config = CONFIG.format(kind=kind, folder=FOLDER) + more
    on_an_emulated_processor(
        lab,
        lambda: running(lab, f"dm-{kind}", config, 120),
        [work],
        is_lost=lambda guest: not is_alive(guest),
    )


@pytest.fixture(scope="module")
def lab_with_a_card():
    """A lab whose spare network card can be given to guests."""
    lab = asyncio.run(Lab.start("card", Profile(iommu=True), print))
    yield lab
    asyncio.run(lab.stop())


def counts(guest):
    return guest.shell(COUNTS).strip() == "yes"


def is_alive(guest):
    try:
        return counts(guest)
    except AssertionError:  # it has no log any more
        return False


KINDS = pytest.mark.parametrize("kind", ["qemu-xen", "qemu-xen-traditional"])


@KINDS
def test_xl_drives_it(lab, kind):
    on_a_guest(lab, kind, is_driven)


def is_driven(guest):
    assert counts(guest)
    assert guest.shell(f"xenstore-read {MODEL}/state").strip() == "running"
    supports_what_it_lists_and_more(guest)
    guest.run("xl", "pause", guest.name)
    assert not counts(guest)
    guest.run("xl", "unpause", guest.name)
    assert counts(guest)
    # Its monitor: xl's own client where it looks for it, and ours beside.
    assert "running" in guest.shell('xl qemu-monitor-command $1 "info status"')
    chardevs = json.loads(guest.shell("xenwire dm qmp $1 query-chardev"))
    assert "serial0" in {each["label"] for each in chardevs}
    assert json.loads(guest.shell("xenwire dm status $1 -o json"))["runstate"] == "running"
    refused = guest.shell("xenwire dm command $1 pci-rem 0000:7f:1f.7 2>&1; true")
    assert "the guest has no device" in refused
    guest.shell(f"xl save $1 {FOLDER}/saved >&2", timeout=120)
    guest.shell(f"xl restore {FOLDER}/saved >&2; rm {FOLDER}/saved", timeout=120)
    assert counts(guest)
    assert guest.shell(f"xenstore-read {MODEL}/state").strip() == "running"
    assert guest.shell("ls /var/lib/xen | grep qemu; true") == ""
    guest.shell("id=$(xl domid $1); xl destroy $1; ! xenstore-exists /local/domain/0/device-model/$id")
    guest.shell("until ! pgrep -f '[x]enwire-dm|[x]en-qemu-system'; do sleep 0.2; done", timeout=30)
    assert guest.shell("ls /run/xen /run/xenwire | grep qmp; true") == ""


def supports_what_it_lists_and_more(guest):
    """QEMU 7.2 does not list that it serves disks, QEMU 10 consoles and cards neither. Give all types."""
    listed = {*guest.shell(f"xenstore-list {MODEL}/backends").split()}
    told = {
        each["type"]: each["listed"] for each in json.loads(guest.shell("xenwire dm backends $1 -o json"))
    }
    assert {type_ for type_, is_listed in told.items() if is_listed} == listed
    assert {"console", "qdisk", "vkbd"} <= told.keys()
    assert ("qnic" in told) is ("console" not in listed)  # for this machine the older one serves no cards
    return sorted(told)


def test_one_without_rights(lab):
    on_a_guest(lab, "qemu-xen", is_restricted, 'dm_restrict = 1\ndevice_model_user = "nobody"\n')


def is_restricted(guest):
    """Its QEMU has no user, no files and no store; all that libxl asks of it goes through us."""
    qemu = json.loads(guest.shell("xenwire dm status $1 -o json"))["qemu"]
    assert "\nUid:\t65534\t65534\t65534\t65534\n" in guest.shell(f"cat /proc/{qemu}/status")
    assert "/run/xen/qemu-root-" in guest.shell(f"readlink /proc/{qemu}/root")
    assert counts(guest)
    assert guest.shell(f"xenstore-read {MODEL}/state").strip() == "running"
    assert "running" in guest.shell('xl qemu-monitor-command $1 "info status"')
    guest.shell("xenwire dm command $1 save; xenwire dm command $1 continue")
    guest.shell(f"xl save $1 {FOLDER}/saved >&2", timeout=120)
    guest.shell(f"xl restore {FOLDER}/saved >&2; rm {FOLDER}/saved", timeout=120)
    assert counts(guest)


def test_one_that_is_not_ours(lab):
    own = 'device_model_override = "/usr/libexec/xen-qemu-system-i386"\n'
    on_a_guest(lab, "qemu-xen", is_libxls_own, own)


def is_libxls_own(guest):
    """The toolstack's end on a QEMU that libxl has started."""
    told = json.loads(guest.shell("xenwire dm status $1 -o json"))
    pid = guest.shell("xenstore-read /local/domain/$(xl domid $1)/image/device-model-pid")
    assert int(pid) == told["qemu"]
    assert (told["state"], told["runstate"], told["clients"]) == ("running", "running", None)
    assert told["backends"] == supports_what_it_lists_and_more(guest)
    assert json.loads(guest.shell("xenwire dm qmp $1 query-status"))["running"] is True
    guest.shell("xl pause $1")
    assert "takes no commands through the store" in guest.shell(
        "xenwire dm command $1 usb-add tablet 2>&1; true"
    )
    guest.shell("xl unpause $1")
    assert counts(guest)


def test_a_death_is_seen(lab):
    on_a_guest(lab, "qemu-xen", loses_its_qemu)


def loses_its_qemu(guest):
    """Xen knows of the crash, and xl does what `on_crash` says."""
    told = json.loads(guest.shell("xenwire dm status $1 -o json"))
    guest.run("kill", "-KILL", str(told["qemu"]))
    guest.shell("until xl list $1 | grep -q -- --sc-; do sleep 0.2; done", timeout=30)
    (listed,) = (d for d in json.loads(guest.shell("xenwire list -o json")) if d["name"] == guest.name)
    assert listed["state"] == "crashed"
    told = json.loads(guest.shell("xenwire dm status $1 -o json"))
    assert (told["runstate"], told["pid"], told["qemu"]) == ("crashed", None, None)
    assert "QEMU killed by SIGKILL" in told["failure"]


def test_a_disc_is_changed(lab):
    disc = f'disk = [ "format=raw,vdev=hdc,access=ro,devtype=cdrom,target={FOLDER}/1.iso" ]\n'
    Guest(lab, "").shell(
        f"mkdir -p {FOLDER}; for i in 1 2; do head -c 1048576 /dev/zero >{FOLDER}/$i.iso; done"
    )
    on_a_guest(lab, "qemu-xen", has_its_disc_changed, disc)


def has_its_disc_changed(guest):
    drive = 'xl qemu-monitor-command $1 "info block" | grep ^ide-5632'
    assert f"{FOLDER}/1.iso" in guest.shell(drive)
    guest.shell("xl cd-eject $1 hdc")
    assert "not inserted" in guest.shell(drive)
    guest.shell(f"xl cd-insert $1 hdc {FOLDER}/2.iso")  # a descriptor, through our broker
    assert "/dev/fdset/" in guest.shell(drive)


@KINDS
def test_a_card_comes_and_goes(lab_with_a_card, kind):
    on_a_guest(lab_with_a_card, kind, is_given_a_card, 'passthrough = "enabled"\n')


def test_linux_is_given_a_card_and_gives_it_back(lab_with_a_card):
    image = asyncio.run(build_tiny_guest(print))

    async def put():
        async with lab_with_a_card.session() as session:
            await session.run(["mkdir", "-p", FOLDER])
            for path in (image.bzimage, image.ramdisk):
                await session.put(path, FOLDER)

    asyncio.run(put())
    config = LINUX.format(folder=FOLDER, kernel=image.bzimage.name, cmdline=image.cmdline)
    on_an_emulated_processor(
        lab_with_a_card,
        lambda: running(lab_with_a_card, "dm-linux", config, LINUX_BOOT),
        [lambda guest: guest.wait_for_boot(LINUX_BOOT), sees_a_card_come_and_go],
        is_lost=lambda guest: not guest.answers(),
    )


def sees_a_card_come_and_go(guest):
    assert not linux_sees_the_card(guest)
    is_given_a_card(guest, lambda: linux_sees_the_card(guest))
    assert not linux_sees_the_card(guest)


def linux_sees_the_card(guest):
    """An emulated e1000e, of which QEMU's own machine here has none."""
    mark = f"card{time.monotonic_ns()}"
    guest.type(f"echo {mark}: $(grep -l 0x10d3 /sys/bus/pci/devices/*/device | wc -l) ca''rds")
    log = f"/var/log/xen/guest-{guest.name}.log"
    guest.shell(f"until grep -q '{mark}: [0-9]* cards' {log}; do sleep 0.2; done", timeout=60)
    return "0 cards" not in guest.shell(f"grep '{mark}: [0-9]* cards' {log}")


def is_given_a_card(guest, is_seen=lambda: True):
    guest.shell(
        "xl pci-assignable-list | grep -q 05.0 ||{ modprobe xen-pciback; xl pci-assignable-add 00:05.0; }"
    )
    monitor = "xenwire dm qmp $1 query-pci"
    guest.shell("xl pci-attach $1 00:05.0", timeout=100)
    assert "pci-pt-00_05.0" in guest.shell(monitor)
    assert "0000:00:05.0" in guest.shell("xl pci-list $1")
    assert is_seen()
    guest.shell("xl pci-detach $1 00:05.0", timeout=100)
    assert "pci-pt-00_05.0" not in guest.shell(monitor)
    if guest.name == "dm-qemu-xen-traditional":
        assert (
            guest.shell(f"xenstore-read {MODEL}/last-command").strip() == "pci-rem 0000:00:05.0: pci-removed"
        )
        assert "refused" in guest.shell("xenwire dm command $1 pci-ins 0000:00:06.0 2>&1; true")
