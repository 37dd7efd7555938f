"""The keys of a channel, against what libxl 4.17 writes (xen: tools/libs/light/libxl_console.c)."""

import pytest

from xenwire.channels.keys import OUR_TYPE, Channel, XenbusState
from xenwire.channels.numbering import assign_devids
from xenwire.config.libxl import types
from xenwire.errors import Conflict, UsageError
from xenwire.types import ChannelKind, ChannelName, DevId, DomId

PTY = types.DeviceChannelPty()


def config(name="a", devid=-1, connection=PTY):
    return types.DeviceChannel(name=name, devid=devid, connection=connection)


def nodes(kind, path=None):
    channel = Channel(DomId(5), DevId(2), ChannelName("org.example.a.0"), kind, path)
    found = {}
    for node in channel.nodes():
        inherited = found[node.path.parent][1] if node.perms is None else str(node.perms)
        found[str(node.path)] = (node.value, inherited)
    return found


def test_a_socket_channel_stands_as_libxl_writes_it():
    fe, be, lx = (
        "/local/domain/5/device/console/2",
        "/local/domain/0/backend/console/5/2",
        "/libxl/5/device/console/2",
    )
    guest, host, dom0 = "n5,r0", "n0,r5", "n0"
    assert nodes(ChannelKind.SOCKET, "/run/a.sock") == {
        fe: ("", guest),
        f"{fe}/backend": (be, guest),
        f"{fe}/backend-id": ("0", guest),
        f"{fe}/state": ("1", guest),
        f"{fe}/protocol": ("vt100", guest),
        f"{fe}/name": ("org.example.a.0", host),
        f"{fe}/limit": ("1048576", host),
        f"{fe}/type": ("ioemu", host),
        f"{fe}/output": ("chardev:libxl-channel2", host),
        f"{fe}/tty": ("", host),
        be: ("", host),
        f"{be}/frontend": (fe, host),
        f"{be}/frontend-id": ("5", host),
        f"{be}/online": ("1", host),
        f"{be}/state": ("1", host),
        f"{be}/protocol": ("vt100", host),
        f"{be}/name": ("org.example.a.0", host),
        f"{be}/connection": ("socket", host),
        f"{be}/path": ("/run/a.sock", host),
        lx: ("", dom0),
        f"{lx}/frontend": (fe, dom0),
        f"{lx}/backend": (be, dom0),
        f"{lx}/frontend-id": ("5", dom0),
        f"{lx}/online": ("1", dom0),
        f"{lx}/state": ("1", dom0),
        f"{lx}/protocol": ("vt100", dom0),
        f"{lx}/name": ("org.example.a.0", dom0),
        f"{lx}/connection": ("socket", dom0),
        f"{lx}/path": ("/run/a.sock", dom0),
    }


@pytest.mark.parametrize(
    ("kind", "named"), [("pty", True), ("socket", True), ("none", False), ("path", False)]
)
def test_libxl_is_not_shown_a_kind_that_it_does_not_know(kind, named):
    """A name beside an unknown connection makes `xl channel-list` fail for the whole domain."""
    path = "/x" if kind in ("path", "socket") else None
    assert ("/libxl/5/device/console/2/name" in nodes(ChannelKind(kind), path)) is named


def test_parents_come_first():
    seen = set()
    for node in Channel(DomId(1), DevId(1), ChannelName("a"), ChannelKind.PTY).nodes():
        assert node.path.name == "1" or node.path.parent in seen
        seen.add(node.path)


def test_devids_count_from_1_and_fill_gaps():
    channels = assign_devids(
        [config("a"), config("b", devid=1), config("c"), config("d", devid=4), config("e"), config("f")],
        DomId(1),
    )
    assert [c.devid for c in channels] == [2, 1, 3, 4, 5, 6]


@pytest.mark.parametrize("devids", [[0], [31], [2, 2]])
def test_devids_that_cannot_be(devids):
    with pytest.raises(Conflict, match="cannot have devid"):
        assign_devids([config(f"c{i}", devid) for i, devid in enumerate(devids)], DomId(1))


def test_kinds_and_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    channels = assign_devids(
        [
            config("a", connection=types.DeviceChannelNone()),
            config("b", connection=types.DeviceChannelPty()),
            config("c", connection=types.DeviceChannelPath(path="log")),
            config("d", connection=types.DeviceChannelSocket(path="/run/s")),
        ],
        DomId(1),
    )
    assert [(c.kind, c.path) for c in channels] == [
        ("none", None),
        ("pty", None),
        ("path", str(tmp_path / "log")),
        ("socket", "/run/s"),
    ]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (config(None), "a channel has no name"),
        (config("a b"), "not a channel name"),
        (config(connection=types.DeviceChannelUnknown()), "channel a has no kind"),
        (config(connection=types.DeviceChannelSocket()), "channel a has no path"),
        (config(connection=types.DeviceChannelPath(path="")), "channel a has no path"),
    ],
)
def test_channels_that_cannot_be(wrong, message):
    with pytest.raises(UsageError, match=message):
        assign_devids([wrong], DomId(1))


def test_a_name_is_given_once():
    with pytest.raises(Conflict, match="two channels have the name a"):
        assign_devids([config(), config()], DomId(1))


def test_a_channel_that_we_serve():
    """QEMU and xenconsoled are to decline it, and no guest can make one of theirs ours."""
    channel = Channel(DomId(5), DevId(2), ChannelName("a"), ChannelKind.PTY, type=OUR_TYPE)
    found = {str(n.path): n.value for n in channel.nodes()}
    assert found["/local/domain/5/device/console/2/type"] == "xenwire"
    assert found["/local/domain/0/backend/console/5/2/type"] == "xenwire"
    assert "/local/domain/5/device/console/2/output" not in found


def test_room_for_30():
    assert assign_devids([config(f"c{i}") for i in range(30)], DomId(1))[-1].devid == 30
    with pytest.raises(Conflict, match="no room for channel 'c30'"):
        assign_devids([config(f"c{i}") for i in range(31)], DomId(1))


@pytest.mark.parametrize(
    ("value", "state"),
    [(b"4", 4), (b"1", 1), (None, 0), (b"", 0), (b"9", 0), (b"44", 0), (b" 4", 0), (b"\xb2", 0)],
)
def test_states_are_read_strictly(value, state):
    assert XenbusState.parse(value) is XenbusState(state)


@pytest.mark.parametrize(
    ("kind", "path", "tty", "place"),
    [
        ("none", None, None, None),
        ("pty", None, "/dev/pts/3", "/dev/pts/3"),
        ("pty", None, None, None),
        ("path", "/l", None, "/l"),
    ],
)
def test_place(kind, path, tty, place):
    assert Channel(DomId(1), DevId(1), ChannelName("a"), ChannelKind(kind), path, tty=tty).place == place
