"""What libxl 4.17 gives its device models, and what becomes of it."""

from pathlib import Path

import pytest

from xenwire.devicemodel.libxl import is_probe, parse_request
from xenwire.errors import UsageError
from xenwire.qemu.qmp.broker.access import Access

HVM = (
    "-xen-domid 4 -no-shutdown"
    " -chardev socket,id=libxl-cmd,path=/run/xen/qmp-libxl-4,server=on,wait=off"
    " -mon chardev=libxl-cmd,mode=control"
    " -chardev socket,id=libxenstat-cmd,path=/run/xen/qmp-libxenstat-4,server=on,wait=off"
    " -mon chardev=libxenstat-cmd,mode=control"
    " -chardev socket,id=libxl-channel1,path=/run/c.sock,server=on,wait=off"
    " -nodefaults -no-user-config -name g -vnc none -display none"
    " -netdev type=tap,id=net0,ifname=vif4.0-emu,br=xenbr0,script=no,downscript=no"
)
PV = (
    "-xen-domid 7 -no-shutdown"
    " -chardev socket,id=libxl-cmd,path=/run/xen/qmp-libxl-7,server=on,wait=off"
    " -mon chardev=libxl-cmd,mode=control"
    " -chardev socket,id=libxenstat-cmd,path=/run/xen/qmp-libxenstat-7,server=on,wait=off"
    " -mon chardev=libxenstat-cmd,mode=control"
    " -nodefaults -no-user-config -xen-attach -name p -vnc 127.0.0.1:0,to=99 -display none -nographic"
    " -machine xenpv -m 64"
)
TRADITIONAL = (
    "-d 1 -domain-name hvm1 -nographic -serial pty -videoram 4 -boot cda -acpi -vcpu_avail 0x01"
    " -net none -M xenfv"
)


def test_monitors_of_libxls_are_ours_to_offer():
    request = parse_request(HVM.split())
    assert request.domid == 4
    assert request.monitors == {
        Path("/run/xen/qmp-libxl-4"): Access.FULL,
        Path("/run/xen/qmp-libxenstat-4"): Access.MONITOR,
    }
    assert not request.stopped
    assert request.arguments == [
        *HVM.split()[:3],
        "-chardev",
        "socket,id=libxl-channel1,path=/run/c.sock,server=on,wait=off",
        *HVM.partition("c.sock,server=on,wait=off ")[2].split(),
    ]


def test_a_restricted_one():
    """Its monitor is a socket that libxl has opened: QEMU has no way back to the file system."""
    words = ["-xen-domid", "4", "-chardev", "socket,id=libxl-cmd,fd=19,server=on,wait=off", "-S"]
    words += ["-mon", "chardev=libxl-cmd,mode=control", "-incoming", "fd:23", "-xen-domid-restrict"]
    request = parse_request(words)
    assert request.stopped
    assert request.restricted
    assert request.fds == [23]
    assert (request.monitors, request.listening) == ({}, {19: Access.FULL})
    assert request.arguments == ["-xen-domid", "4", "-incoming", "fd:23", "-xen-domid-restrict"]


PROBE = "-S -no-user-config -nodefaults -nographic -machine none,accel=xen"


def test_a_probe_is_known():
    """What libxl 4.20 and later ask before each start; the real one is in tests/qemu."""
    monitor = "-chardev socket,id=libxl-cmd,fd=19,server=on,wait=off -mon chardev=libxl-cmd,mode=control"
    assert is_probe([*PROBE.split(), *monitor.split()])
    assert is_probe(["-machine", "none"])
    named = "-xen-domid 4 -machine none"
    for words in (HVM, TRADITIONAL, PV, named, "-machine nonesuch", "none", ""):
        assert not is_probe(words.split())


def words_of(request):
    return " ".join(request.arguments)


def test_a_pv_guest():
    """QEMU is there for its disks, consoles and screen; it has no machine of its own."""
    request = parse_request(PV.split())
    assert (request.domid, request.traditional, request.stopped) == (7, False, False)
    assert request.monitors.keys() == {Path("/run/xen/qmp-libxl-7"), Path("/run/xen/qmp-libxenstat-7")}
    assert words_of(request) == (
        "-xen-domid 7 -no-shutdown -nodefaults -no-user-config -xen-attach -name p -vnc 127.0.0.1:0,to=99"
        " -display none -nographic -machine xenpv -m 64"
    )


def test_an_hvm_guest_without_the_platform_device():
    machine = "-machine pc,accel=xen,suppress-vmdesc=on,max-ram-below-4g=4026531840 -m 60"
    request = parse_request(f"{HVM} {machine}".split())
    assert words_of(request).endswith(machine)
    assert request.fds == []


def test_a_restore():
    """libxl hands down the state as a descriptor, which QEMU inherits under its number."""
    request = parse_request(f"{HVM} -incoming fd:31 -machine xenfv,suppress-vmdesc=on -m 60".split())
    assert request.fds == [31]
    assert not request.stopped
    assert "-incoming fd:31 -machine xenfv" in words_of(request)


def test_a_traditional_pv_guest():
    request = parse_request(["-d", "9", "-vnc", "127.0.0.1:0", "-vncunused", "-M", "xenpv"])
    words = words_of(request)
    assert request.ignored == []
    assert "-xen-attach -machine xenpv" in words
    assert "suppress-vmdesc" not in words
    assert "-vnc 127.0.0.1:0,to=99" in words


def test_the_traditional_words_in_todays():
    request = parse_request(TRADITIONAL.split())
    assert request.traditional
    assert request.domid == 1
    assert request.ignored == []
    words = " ".join(request.arguments)
    for wanted in (
        "-xen-domid 1 -no-shutdown",
        "-name hvm1",
        "-serial pty",
        "-boot order=cda",
        "-display none",
        "-device cirrus-vga,vgamem_mb=4",
        "-smp 1,maxcpus=1",
        "-net none",
        "-machine xenfv,suppress-vmdesc=on",
    ):
        assert wanted in words
    assert "-no-acpi" not in words


def test_more_of_the_traditional_words():
    given = (
        "-d 7 -vnc 127.0.0.1:0,password -vncunused -k de -videoram 16 -std-vga -usb -usbdevice tablet"
        " -usbdevice host:1.2 -soundhw sb16 -vcpus 4 -vcpu_avail 0x3"
        " -net nic,vlan=1,macaddr=00:16:3e:00:00:01,model=e1000"
        " -net tap,vlan=1,ifname=vif7.1-emu,bridge=xenbr0,script=no,downscript=no"
        " -loadvm /var/lib/xen/qemu-resume.7 -M xenfv"
    )
    request = parse_request(given.split())
    words = " ".join(request.arguments)
    for wanted in (
        "-vnc 127.0.0.1:0,password=on,to=99",
        "-k de",
        "-device VGA,vgamem_mb=16",
        "-usb -device usb-tablet",
        "-smp 2,maxcpus=4",
        "-netdev tap,id=net1,ifname=vif7.1-emu,script=no,downscript=no",
        "-device e1000,id=nic1,netdev=net1,mac=00:16:3e:00:00:01",
        "-no-acpi",
    ):
        assert wanted in words
    assert request.restore == Path("/var/lib/xen/qemu-resume.7")
    assert request.ignored == ["-usbdevice host:1.2", "-soundhw", "sb16"]


@pytest.mark.parametrize(
    "words", ["", "--help", "-xen-domid", "-d x", "-xen-domid 99999", "-xen-domid 1 -chardev"]
)
def test_what_is_not_libxls(words):
    with pytest.raises(UsageError):
        parse_request(words.split())
