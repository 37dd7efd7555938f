"""The control protocol of seed 001, between our toolstack's end, Debian's xenstore tools and a real QEMU."""

import stat
import time

import pytest

pytestmark = pytest.mark.qemu

MODEL = "/local/domain/0/device-model/1"


@pytest.fixture
def guest(host):
    """A domain with USB whose processors run nothing: its firmware waits."""
    host.ok("create", host.config(type="hvm", usb=1), "--paused")
    return host


def test_save_and_continue(guest):
    guest.ok("unpause", "guest")
    guest.ok("dm", "command", "guest", "save")
    saved = guest.folder / "run" / "qemu-save.1"
    assert saved.read_bytes()[:8] == b"QEVM\0\0\0\3"
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    assert guest.nodes()[f"{MODEL}/state"] == "paused"
    assert guest.domains()["guest"]["state"] == "paused"
    guest.ok("dm", "command", "guest", "continue")
    assert guest.nodes()[f"{MODEL}/state"] == "running"
    assert guest.domains()["guest"]["state"] == "running"
    guest.ok("dm", "command", "guest", "save")
    guest.ok("destroy", "guest")
    guest.assert_clean()


def test_usb(guest):
    guest.ok("dm", "command", "guest", "usb-add", "tablet")
    listing = guest.ok("dm", "qmp", "guest", "human-monitor-command", '{"command-line": "info usb"}')
    assert "QEMU USB Tablet" in listing
    address = listing.partition("Device ")[2].partition(",")[0]
    guest.ok("dm", "command", "guest", "usb-del", address)
    nodes = guest.nodes()
    assert nodes[f"{MODEL}/state"] == "running"
    assert nodes[f"{MODEL}/last-command"] == f"usb-del {address}: usb-deleted"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("pci-ins", "0000:7f:1f.7"), "refused pci-ins"),
        (("pci-rem", "0000:7f:1f.7"), "the guest has no device 0000:7f:1f.7"),
        (("usb-add", "toaster"), "known are tablet"),
        (("usb-del", "7.77"), "no device '7.77'"),
    ],
)
def test_what_fails_says_why_at_once(guest, arguments, words):
    started = time.monotonic()
    result = guest("dm", "command", "guest", *arguments)
    assert words in result.stderr
    assert result.returncode != 0
    assert time.monotonic() - started < 30  # a device model that says nothing costs 60 s
    assert guest.nodes()[f"{MODEL}/state"] == "running"


def test_anothers_toolstack(guest):
    """Any client of the store can command it, as seed 001 says."""

    def write(*words):
        paths = [f"{MODEL}/{path}" for path in words[::2]]
        pairs = [word for pair in zip(paths, words[1::2], strict=True) for word in pair]
        assert guest.xenstore("xenstore-write", *pairs).returncode == 0

    def until(path, value):
        deadline = time.monotonic() + 20
        while guest.nodes().get(f"{MODEL}/{path}") != value:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    write("parameter", "keyboard", "command", "usb-add")
    until("state", "usb-added")
    write("state", "running")
    write("command", "sav")
    until("last-command", "unknown: b'sav'")
    write("logdirty/cmd", "enable")
    until("logdirty/ret", "enable")
    write("logdirty/cmd", "disable")
    until("logdirty/ret", "disable")
    nodes = guest.nodes()
    assert nodes[f"{MODEL}/state"] == "running"
    assert f"{MODEL}/command" not in nodes
