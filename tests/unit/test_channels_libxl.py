"""The nodes of a channel against those of a real libxl (4.17), and what a guest may do with them."""

import re
from pathlib import Path

import pytest
from store_dialogue import OK, Dialogue

from xenwire.channels.keys import OUR_TYPE, QEMU_TYPE, Channel
from xenwire.types import ChannelKind, ChannelName, DevId, DomId
from xenwire.xenstore.wire import Op

DUMP = Path(__file__).parents[1] / "data/xlcfg/live/live-pv.console-xenstore.txt"
LINE = re.compile(r'(?P<path>\S+) = "(?P<value>.*)"   \((?P<perms>.*)\)')

FE, BE, LX = (
    "/local/domain/5/device/console/1",
    "/local/domain/0/backend/console/5/1",
    "/libxl/5/device/console/1",
)


def a_channel(domid=5, name="org.example.a", path="/run/a.sock", served_by=OUR_TYPE):
    return Channel(DomId(domid), DevId(1), ChannelName(name), ChannelKind.SOCKET, path, type=served_by)


def written(talk, channel):
    """Have dom0 make a domain as libxl does, and write a channel's nodes into it."""
    home = f"/local/domain/{channel.domid}"
    for path in (home, f"{home}/device", f"{home}/data"):
        talk.ask(talk.dom0, Op.MKDIR, f"{path}|")
    for path, perms in (
        ("/local/domain/0/backend", "n0|"),
        ("/libxl", "n0|"),
        (home, f"n0|r{channel.domid}|"),
        (f"{home}/device", f"n0|r{channel.domid}|"),
        (f"{home}/data", f"n{channel.domid}|"),
    ):
        talk.ask(talk.dom0, Op.MKDIR, f"{path}|")
        assert talk.ask(talk.dom0, Op.SET_PERMS, f"{path}|{perms}") == OK
    for node in channel.nodes():
        assert talk.ask(talk.dom0, Op.WRITE, f"{node.path}|{node.value}") == OK
        if node.perms is not None:
            perms = str(node.perms).replace(",", "|")
            assert talk.ask(talk.dom0, Op.SET_PERMS, f"{node.path}|{perms}|") == OK


def found(talk, *roots):
    """Give all nodes at and below some, with their permissions."""
    tree, paths = {}, list(roots)
    while paths:
        path = paths.pop()
        perms = talk.ask(talk.dom0, Op.GET_PERMS, f"{path}|").rstrip("|").replace("|", ",")
        tree[path] = (talk.ask(talk.dom0, Op.READ, f"{path}|"), perms)
        names = talk.ask(talk.dom0, Op.DIRECTORY, f"{path}|").rstrip("|").split("|")
        paths += [f"{path}/{name}" for name in names if name]
    return tree


def test_a_channel_stands_as_libxls_do():
    """All of libxl's, with the same values and permissions, but for what QEMU has written since."""
    lines = [LINE.fullmatch(line) for line in DUMP.read_text().splitlines()]
    libxls = {line["path"]: (line["value"], line["perms"]) for line in lines}
    frontend, backend = "/local/domain/4/device/console/1", "/local/domain/0/backend/console/4/1"
    libxls = {path: node for path, node in libxls.items() if re.match(f"({frontend}|{backend})(/|$)", path)}
    assert libxls.pop(f"{backend}/hotplug-status") == ("connected", "n0,r4")
    assert libxls[f"{backend}/state"] == ("2", "n0,r4")
    libxls[f"{backend}/state"] = ("1", "n0,r4")
    assert len(libxls) == 19

    talk = Dialogue()
    written(talk, a_channel(4, "log", "/tmp/live-log.sock", QEMU_TYPE))
    assert found(talk, frontend, backend) == libxls

    talk = Dialogue()
    written(talk, a_channel(4, "log", "/tmp/live-log.sock", OUR_TYPE))
    ours = found(talk, frontend, backend)
    assert ours.keys() ^ libxls.keys() == {f"{frontend}/output", f"{backend}/type"}
    assert {path for path in ours.keys() & libxls.keys() if ours[path] != libxls[path]} == {
        f"{frontend}/type"
    }


@pytest.fixture
def talk():
    talk = Dialogue()
    assert talk.ask(talk.dom0, Op.INTRODUCE, "5|1|2|") == OK
    written(talk, a_channel())
    return talk


def test_what_a_guest_may_read(talk):
    guest = talk.guest(5)
    talk.run(
        (guest, 0, Op.DIRECTORY, "device/console|", "1|"),
        (guest, 0, Op.READ, "device/console/1/name|", "org.example.a"),
        (guest, 0, Op.READ, "device/console/1/backend|", BE),
        (guest, 0, Op.READ, "device/console/1/state|", "1"),
        (guest, 0, Op.READ, "device/console/1/limit|", "1048576"),
        (guest, 0, Op.READ, "device/console/1/type|", "xenwire"),
        (guest, 0, Op.READ, "device/console/1/tty|", ""),
        (guest, 0, Op.READ, f"{BE}/state|", "1"),
        (guest, 0, Op.READ, f"{BE}/path|", "/run/a.sock"),
        (guest, 0, Op.READ, f"{LX}/backend|", "EACCES"),
        (guest, 0, Op.DIRECTORY, "/local/domain/0/backend/console|", "EACCES"),
    )


def test_what_a_guest_may_write(talk):
    guest = talk.guest(5)
    talk.run(
        (guest, 0, Op.TRANSACTION_START, "", "1|"),
        (guest, 1, Op.WRITE, "device/console/1/ring-ref|9", OK),
        (guest, 1, Op.WRITE, "device/console/1/port|15", OK),
        (guest, 1, Op.TRANSACTION_END, "T|", OK),
        (guest, 0, Op.WRITE, "device/console/1/state|3", OK),
        (guest, 0, Op.WRITE, "device/console/1/backend|/elsewhere", OK),  # nobody of ours reads that
        (guest, 0, Op.WRITE, "device/console/1/protocol|x", OK),
        (talk.dom0, 0, Op.GET_PERMS, f"{FE}/ring-ref|", "n5|r0|"),
        (talk.dom0, 0, Op.READ, f"{FE}/port|", "15"),
    )


@pytest.mark.parametrize("key", ["name", "limit", "type", "tty"])
def test_what_its_directory_says_by_the_host_is_not_a_guests_to_write(talk, key):
    guest = talk.guest(5)
    before = talk.ask(talk.dom0, Op.READ, f"{FE}/{key}|")
    talk.run(
        (guest, 0, Op.WRITE, f"device/console/1/{key}|forged", "EACCES"),
        (guest, 0, Op.SET_PERMS, f"device/console/1/{key}|n5|", "EACCES"),
        (guest, 0, Op.RM, f"device/console/1/{key}|", "EACCES"),
        (guest, 0, Op.MKDIR, f"device/console/1/{key}/below|", "EACCES"),
        (talk.dom0, 0, Op.READ, f"{FE}/{key}|", before),
    )


@pytest.mark.parametrize("path", [BE, f"{BE}/state", f"{BE}/path", f"{BE}/new", LX, f"{LX}/backend"])
def test_a_backend_is_not_a_guests_to_write(talk, path):
    guest = talk.guest(5)
    before = found(talk, BE, LX)
    for op, payload in (
        (Op.WRITE, f"{path}|5"),
        (Op.MKDIR, f"{path}|"),
        (Op.RM, f"{path}|"),
        (Op.SET_PERMS, f"{path}|n5|"),
    ):
        answer = talk.ask(guest, op, payload)
        # A node of nothing cannot be removed, and it says so only to who may look there.
        assert answer in ("EACCES", "ENOENT") if op in (Op.RM, Op.SET_PERMS) else answer == "EACCES"
    assert found(talk, BE, LX) == before


def test_a_guest_can_do_away_with_its_directory_and_not_have_it_again(talk):
    guest = talk.guest(5)
    talk.run(
        (guest, 0, Op.RM, "device/console/1|", OK),
        (guest, 0, Op.MKDIR, "device/console/1|", "EACCES"),
        (guest, 0, Op.WRITE, "device/console/1/name|org.example.forged", "EACCES"),
        (guest, 0, Op.WRITE, "device/console/2/name|org.example.forged", "EACCES"),
        (guest, 0, Op.MKDIR, "/local/domain/0/backend/console/5/2|", "EACCES"),
        (talk.dom0, 0, Op.READ, f"{BE}/name|", "org.example.a"),
    )


def test_a_channel_is_not_another_guests(talk):
    talk.ask(talk.dom0, Op.INTRODUCE, "6|1|2|")
    other = talk.guest(6)
    for path in (FE, f"{FE}/state", f"{FE}/name", BE, f"{BE}/name"):
        talk.run(
            (other, 0, Op.READ, f"{path}|", "EACCES"),
            (other, 0, Op.WRITE, f"{path}|4", "EACCES"),
            (other, 0, Op.RM, f"{path}|", "EACCES"),
        )
