import itertools
import os
import re
import uuid

import pytest

from xenwire.config import HostFacts, parse_config
from xenwire.config.libxl.version import NEWEST
from xenwire.errors import Conflict, Denied, NotFound, UsageError
from xenwire.hosts import DomainInfo, DomainState, connect
from xenwire.hosts.base import resolve
from xenwire.hosts.machine import qemu_arguments
from xenwire.hosts.nodes import domain_nodes
from xenwire.types import DomId

UUIDS = [uuid.UUID(f"{digit * 8}-0000-4000-8000-000000000000") for digit in "abc"]
DOMAINS = [
    DomainInfo(DomId(domid), name, id_, DomainState.RUNNING, 64, 1)
    for domid, name, id_ in zip((1, 2, 30), ("web", "webmail", "3"), UUIDS, strict=True)
]


@pytest.mark.parametrize(
    ("reference", "found"),
    [("web", 1), ("webm", 2), ("2", 2), (str(UUIDS[1]), 2), ("aaaa", 1), ("3", 30), ("30", 30), ("c", 30)],
)
def test_a_domain_is_found(reference, found):
    assert resolve(reference, DOMAINS).domid == found


def test_a_domid_comes_before_a_name_of_digits():
    domains = [*DOMAINS, DomainInfo(DomId(4), "1", uuid.uuid4(), DomainState.RUNNING, 64, 1)]
    assert resolve("1", domains).name == "web"


def test_an_ambiguous_name_lists_the_candidates():
    with pytest.raises(Conflict) as caught:
        resolve("we", DOMAINS)
    assert caught.value.reason == "web (domid 1), webmail (domid 2)"


@pytest.mark.parametrize("reference", ["", "mail", "300", "0"])
def test_no_such_domain(reference):
    with pytest.raises(NotFound):
        resolve(reference, DOMAINS)


@pytest.fixture
def kernel(tmp_path):
    (tmp_path / "vmlinuz").write_bytes(b"kernel")
    return str(tmp_path / "vmlinuz")


@pytest.fixture
def disk(tmp_path):
    (tmp_path / "disk,1").write_bytes(bytes(4096))
    return str(tmp_path / "disk,1")


def configured(*lines):
    text = (
        "\n".join(lines)
        if any(line.startswith("name") for line in lines)
        else "\n".join(['name="a"', *lines])
    )
    return parse_config(os.fsencode(text + "\n"), "a.cfg", HostFacts(version=NEWEST)).config


def arguments(kernel, *lines, accelerator="tcg"):
    return qemu_arguments(configured(f"kernel='{kernel}'", *lines), UUIDS[0], accelerator)


def options(found, name):
    """Give the values of one option."""
    return [value for option, value in itertools.pairwise(found) if option == name]


def test_arguments(kernel):
    lines = (f"ramdisk='{kernel}'", 'name="a,b"', "memory=128", "vcpus=2", 'cmdline="console=ttyS0 x,y"')
    found = dict(itertools.pairwise(arguments(kernel, *lines)))
    assert found["-name"] == "guest=a,,b"
    assert found["-m"] == "size=131072K"
    assert found["-smp"] == "2"
    assert found["-kernel"] == found["-initrd"] == kernel
    assert found["-append"] == "console=ttyS0 x,y"
    assert found["-serial"] == "pty"
    assert found["-accel"] == "tcg"
    assert found["-display"] == "none"
    assert "-cpu" not in found
    assert dict(itertools.pairwise(arguments(kernel, accelerator="kvm")))["-cpu"] == "host"


def test_what_a_configuration_leaves_out(kernel):
    found = dict(itertools.pairwise(arguments(kernel)))
    assert (found["-m"], found["-smp"]) == ("size=32768K", "1")
    assert "-no-reboot" not in found


def test_processors_and_memory_that_may_come_later(kernel):
    found = dict(itertools.pairwise(arguments(kernel, "memory=64", "maxmem=128", "vcpus=1", "maxvcpus=4")))
    assert (found["-m"], found["-smp"]) == ("size=131072K", "1,maxcpus=4")


def test_a_guest_that_is_not_to_reboot(kernel):
    assert "-no-reboot" in arguments(kernel, 'on_reboot="destroy"')


def test_relative_kernels_are_resolved_here(kernel, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert options(arguments("vmlinuz"), "-kernel") == [kernel]


def test_a_machine_that_boots_from_its_disk(disk):
    config = configured('type="hvm"', "disk=['vdev=hda,target=/none/disk']", 'boot="cd"')
    with pytest.raises(NotFound, match="does not exist"):
        qemu_arguments(config, UUIDS[0], "tcg")
    config = configured('type="hvm"', f"disk=['vdev=hda,target={disk}']", 'boot="dc"', "hpet=0", "acpi=0")
    found = qemu_arguments(config, UUIDS[0], "tcg")
    assert options(found, "-boot") == ["order=dc"]
    assert options(found, "-machine") == ["q35,acpi=off,hpet=off"]
    assert "-kernel" not in found


@pytest.mark.parametrize(
    ("item", "blockdev", "device"),
    [
        (
            "vdev=xvda,target={}",
            "raw,node-name=xvda,read-only=off",
            "virtio-blk-pci,id=disk-xvda,serial=xvda",
        ),
        (
            "format=qcow2,vdev=sdb,target={}",
            "qcow2,node-name=sdb",
            "scsi-hd,bus=scsi.0,id=disk-sdb,drive=sdb",
        ),
        (
            "vdev=hdc,cdrom,target={}",
            "raw,node-name=hdc,read-only=on",
            "ide-cd,bus=ide.2,id=disk-hdc,drive=hdc",
        ),
        ("vdev=vda,access=ro,target={}", "raw,node-name=vda,read-only=on", "virtio-blk-pci,id=disk-vda"),
    ],
)
def test_disks(kernel, disk, item, blockdev, device):
    found = arguments(kernel, f"disk=['{item.format(disk)}']")
    (medium,) = options(found, "-blockdev")
    assert medium.startswith(blockdev)
    assert medium.endswith("file.driver=file,file.filename=" + disk.replace(",", ",,"))
    assert options(found, "-device")[-1].startswith(device)


def test_an_empty_drive(kernel):
    found = arguments(kernel, "disk=['vdev=hdc,cdrom,target=']")
    assert options(found, "-blockdev") == []
    assert options(found, "-device") == ["ide-cd,bus=ide.2,id=disk-hdc"]


def test_shared_folders(kernel, tmp_path):
    found = arguments(kernel, f"p9=['tag=home,security_model=none,path={tmp_path}']")
    assert options(found, "-fsdev") == [f"local,id=p9-0,path={tmp_path},security_model=none"]
    assert options(found, "-device") == ["virtio-9p-pci,fsdev=p9-0,mount_tag=home"]


def test_network_cards(kernel, caplog):
    found = arguments(kernel, "vif=['bridge=nosuchbridge', 'mac=00:16:3e:01:02:03,model=e1000']")
    assert options(found, "-netdev") == ["user,id=nic0", "user,id=nic1"]
    first, second = options(found, "-device")
    assert re.fullmatch(
        r"virtio-net-pci,netdev=nic0,mac=00:16:3e:[0-7][0-9a-f]:[0-9a-f]{2}:[0-9a-f]{2},id=nic0-dev", first
    )
    assert second == "e1000,netdev=nic1,mac=00:16:3e:01:02:03,id=nic1-dev"
    assert "no bridge nosuchbridge" in caplog.text
    assert options(arguments(kernel, "vif=['']"), "-device") == [first]


def test_screens(kernel):
    assert "-vnc" not in arguments(kernel, 'type="hvm"')
    found = arguments(kernel, 'type="hvm"', "vnc=1", 'vga="cirrus"', 'keymap="de"')
    assert options(found, "-vnc") == ["127.0.0.1:0,to=99"]
    assert (options(found, "-vga"), options(found, "-k")) == (["cirrus"], ["de"])
    found = arguments(kernel, "vfb=['vnc=1,vnclisten=::1,vncdisplay=7,vncunused=0']")
    assert options(found, "-vnc") == ["::1:7"]
    assert options(found, "-vga") == ["std"]
    assert options(arguments(kernel, "vfb=['vnclisten=0.0.0.0:4']"), "-vnc") == ["0.0.0.0:4,to=99"]


def test_usb_and_tables(kernel):
    lines = ('type="hvm"', 'usbdevice=["tablet"]', f"smbios_firmware='{kernel}'", "localtime=1")
    found = arguments(kernel, *lines)
    assert "-usb" in found
    assert "usb-tablet" in options(found, "-device")
    assert options(found, "-smbios") == [f"file={kernel}"]
    assert options(found, "-rtc") == ["base=localtime"]


def test_arguments_of_the_users_own(kernel):
    lines = ('device_model_args=["-foo"]', 'device_model_args_hvm=["-hvm"]', 'device_model_args_pv=["-pv"]')
    assert arguments(kernel, 'type="hvm"', *lines)[-2:] == ["-foo", "-hvm"]
    assert arguments(kernel, *lines)[-2:] == ["-foo", "-pv"]


def test_a_monitor_of_the_users_own_where_it_cannot_be(kernel):
    line = 'device_model_args=["-chardev", "udp,id=m,port=1", "-mon", "chardev=m,mode=control"]'
    with pytest.raises(UsageError, match=r"cannot create domain 'a': .* a chardev of kind udp: a monitor on"):
        arguments(kernel, line)


def test_nothing_to_boot():
    with pytest.raises(UsageError, match="nothing that it could boot from"):
        qemu_arguments(configured('type="hvm"'), UUIDS[0], "tcg")
    with pytest.raises(UsageError, match="names no kernel"):
        qemu_arguments(configured('bootloader="pygrub"'), UUIDS[0], "tcg")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('name="a\\nb"', "cannot be shown"),
        ('name=""', "cannot be shown"),
        ("vcpus=289", "at most 288"),
        ("cmdline='" + "x" * 2048 + "'", "has 2048 bytes"),
        ("channel=['connection=pty,name=c,backend=driver']", "backend domain 'driver'"),
        ("disk=['vdev=xvda1,target=/dev/null']", "disk cannot be 'xvda1'"),
        ("disk=['vdev=hdg,target=/dev/null']", "no port for its disk hdg"),
        ("disk=['vdev=xvda,script=block-iscsi,target=x']", "from a script"),
        ("vif=['backend=net']", "backend domain 'net'"),
        ("vif=['model=hub']", "model 'hub'"),
        ("p9=['tag=a,security_model=odd,path=/tmp']", "security model 'odd'"),
        ("type='hvm'\nvnc=1\nvncpasswd='x'", "has a password"),
        ("type='hvm'\nvnc=1\nvnclisten='a,password=off'", "cannot listen on"),
        ("type='hvm'\nkeymap='../x'", "no keyboard map"),
        ("type='hvm'\nusbdevice='host:1.2'", "USB device 'host:1.2'"),
        ("type='hvm'\nboot='x'", "cannot boot from 'x'"),
    ],
)
def test_what_this_host_cannot_do(kernel, line, reason):
    with pytest.raises(UsageError, match=reason):
        arguments(kernel, line)


def test_a_kernel_that_is_not_there():
    with pytest.raises(NotFound, match="kernel /none/vmlinuz does not exist"):
        arguments("/none/vmlinuz")


def test_a_kernel_that_is_a_folder(tmp_path):
    with pytest.raises(Denied, match="not a file"):
        arguments(str(tmp_path))


@pytest.mark.parametrize(
    "serial", ["none", "null", "pty", "file:/x", "unix:/x,server=on", "tcp:h:1", "/dev/ttyS1"]
)
def test_serial_ports(kernel, serial):
    assert options(arguments(kernel, 'type="hvm"', f"serial='{serial}'"), "-serial") == [serial]


@pytest.mark.parametrize(
    "serial", ["stdio", "mon:stdio", "mon:pty", "vc", "chardev:xenwire-monitor", "file:"]
)
def test_serial_ports_that_would_take_what_is_not_theirs(kernel, serial):
    with pytest.raises(UsageError, match="serial port cannot be"):
        arguments(kernel, 'type="hvm"', f"serial='{serial}'")


def test_nodes_of_a_domain():
    config = configured('name="web"', 'kernel="x"', "memory=32", "maxmem=64", "vcpus=2", "maxvcpus=3")
    nodes = {str(n.path): n for n in domain_nodes(DomId(7), config, UUIDS[0])}
    assert nodes["/local/domain/7/name"].value == "web"
    assert nodes["/local/domain/7/vm"].value == f"/vm/{UUIDS[0]}"
    assert nodes["/local/domain/7/domid"].value == "7"
    assert nodes["/local/domain/7/memory/static-max"].value == "65536"
    assert nodes["/local/domain/7/memory/target"].value == "32768"
    assert nodes["/local/domain/7/cpu/1/availability"].value == "online"
    assert nodes["/local/domain/7/cpu/2/availability"].value == "offline"
    assert str(nodes["/local/domain/7"].perms) == "n0,r7"
    assert str(nodes["/local/domain/7/data"].perms) == "n7"
    assert str(nodes["/libxl/7"].perms) == "n0"
    assert nodes["/local/domain/7/console/backend"].value == "/local/domain/0/backend/console/7/0"


def test_unknown_hosts():
    with pytest.raises(UsageError, match="not a host: ssh://x"):
        connect("ssh://x")
