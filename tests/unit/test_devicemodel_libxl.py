"""What libxl 4.17 gives its device models, and what becomes of it."""

from pathlib import Path

import pytest

from xenwire.devicemodel.libxl import parse_request
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
