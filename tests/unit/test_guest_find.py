"""Finding channels in made-up guests."""

from dataclasses import replace

import pytest
from tests.unit.guest_tree import Tree
from tests.unit.xenstore_daemon import Daemon

from xenwire.errors import Conflict, NotFound, TimedOut, Unreachable
from xenwire.guest.channel import Transport
from xenwire.guest.find import Finder
from xenwire.xenstore import BlockingStore


@pytest.fixture
def tree(tmp_path):
    """A guest without Xen."""
    return Tree(tmp_path)


@pytest.fixture
def xen(tmp_path, short_tmp):
    """A guest of Xen's, with a primary console."""
    with Daemon(short_tmp / "store") as daemon:
        yield Tree(tmp_path / "xen", daemon.path)


def finder(tree, **options):
    return Finder(tree.places, release="6.1.0", **options)


def test_nothing_there(tree):
    assert finder(tree).channels() == []


def test_ports_with_a_name_are_channels(tree):
    tree.plug("vport0p1", "org.example.a.0", connected=True)
    tree.plug("vport0p2", "org.example.b.0", connected=False)
    tree.plug("vport0p3")
    tree.plug("vport0p4", "")
    found = finder(tree).channels()
    assert [(c.name, c.transport, c.device, c.state, c.problem) for c in found] == [
        ("org.example.a.0", Transport.VIRTIO, tree.dev / "vport0p1", "connected", None),
        ("org.example.b.0", Transport.VIRTIO, tree.dev / "vport0p2", "disconnected", None),
    ]


def test_a_port_without_device_node(tree):
    tree.plug("vport0p1", "a")
    (tree.dev / "vport0p1").unlink()
    (channel,) = finder(tree).channels()
    assert channel.device is None and channel.state == "unknown"
    with pytest.raises(Unreachable, match="vport0p1"):
        finder(tree).find("a")


@pytest.mark.parametrize("name", ["/", "..", "../hvc0", "a/b", "\x1b[2J", "a\nb", "a b", "é", "\udcff"])
def test_hostile_names_lead_nowhere(tree, xen, name):
    tree.plug("vport0p1", name)
    (channel,) = finder(tree).channels()
    assert channel.device == tree.dev / "vport0p1"
    xen.attach(1, name.encode(errors="surrogateescape"))
    assert finder(xen).channels()[0].device == xen.dev / "hvc1"


def test_names_that_are_no_text(tree):
    tree.plug("vport0p1", "a\udcff")
    assert finder(tree).find("a\\xff").source == "vport0p1"


def test_consoles_with_a_name_are_channels(xen):
    xen.attach(1, "org.example.a.0")
    xen.attach(2)
    xen.attach(3, "")
    xen.attach(4, "org.example.b.0")
    xen.plug("vport0p1", "org.example.c.0")
    found = finder(xen).channels()
    assert [(c.name, c.transport, c.source, c.device, c.state, c.problem) for c in found] == [
        ("org.example.a.0", Transport.PV, "console-1", xen.dev / "hvc1", "connected", None),
        ("org.example.b.0", Transport.PV, "console-4", xen.dev / "hvc4", "connected", None),
        ("org.example.c.0", Transport.VIRTIO, "vport0p1", xen.dev / "vport0p1", "unknown", None),
    ]
    assert finder(xen).find("org.example.b.0").device == xen.dev / "hvc4"


def test_without_primary_console(xen):
    with BlockingStore.connect(xen.store) as store:
        store.rm("console")
    xen.attach(1, "a")
    assert finder(xen).find("a").device == xen.dev / "hvc0"


def test_a_gap_is_told_and_can_be_overridden(xen):
    xen.attach(1, "a")
    xen.attach(3, "c")
    with pytest.raises(Unreachable, match="nobody can tell which hvc console-3") as caught:
        finder(xen).find("c")
    assert "--hvc 3=K" in caught.value.hint
    assert finder(xen, hvc={3: 3}).find("c").device == xen.dev / "hvc3"
    assert finder(xen, hvc={3: 3}).find("a").device == xen.dev / "hvc1"


def test_what_comes_while_it_looks_is_known(xen):
    looker = finder(xen)
    xen.attach(1, "a")
    xen.attach(2, "b")
    looker.channels()
    xen.detach(1)
    looker.channels()
    xen.attach(5, "e")
    assert looker.find("e").device == xen.dev / "hvc1"
    assert looker.find("b").device == xen.dev / "hvc2"


def test_a_console_that_came_back_is_another(xen):
    looker = finder(xen)
    xen.attach(1, "a")
    before = looker.find("a")
    xen.detach(1)
    xen.attach(1, "a")
    assert looker.find("a").identity != before.identity


@pytest.mark.parametrize(
    ("number", "options", "reason"),
    [
        (0, {"state": 6, "driver": False, "error": "19 xenbus_dev_probe on device/console/0"}, "1 to 7"),
        (8, {}, "Linux serves consoles 1 to 7"),
        (11, {}, "Linux serves consoles 1 to 7"),
        (
            1,
            {"state": 6, "driver": False, "error": "2 xenbus_dev_probe on device/console/1"},
            "xenconsole: probe of console-1 failed with error -2",
        ),
        (1, {"state": 6, "driver": False, "error": "12 no memory"}, "gave up: 12 no memory"),
        (1, {"state": 5}, "closed"),
        (1, {"state": 6}, "closed"),
        (1, {"state": 1, "driver": False}, "no driver"),
        (1, {"state": 3}, "does not serve it yet"),
        (1, {"state": "x"}, "no driver"),
    ],
)
def test_problems_are_told(xen, number, options, reason):
    xen.attach(number, "a", **options)
    with pytest.raises(Unreachable, match=reason):
        finder(xen).find("a")


def test_consoles_beyond_the_terminals_take_none(xen):
    xen.attach(1, "a")
    xen.attach(11, "k")
    assert finder(xen).find("a").device == xen.dev / "hvc1"


def test_no_device_node(xen):
    xen.attach(1, "a")
    (xen.dev / "hvc1").unlink()
    with pytest.raises(Unreachable, match="there is no"):
        finder(xen).find("a")


def test_no_store(tree):
    tree.be_xen()
    with pytest.raises(Unreachable):
        Finder(replace(tree.places, store=tree.dev / "none")).channels()


def test_not_there_or_several(tree):
    with pytest.raises(NotFound):
        finder(tree).find("a")
    tree.plug("vport0p1", "a")
    tree.plug("vport1p1", "a")
    with pytest.raises(Conflict, match="vport0p1, vport1p1"):
        finder(tree).find("a")


def test_waiting(tree):
    with pytest.raises(TimedOut, match="none of that name"):
        finder(tree).wait("a", 0)
    tree.plug("vport0p1", "a")
    assert finder(tree).wait("a", 0).source == "vport0p1"
