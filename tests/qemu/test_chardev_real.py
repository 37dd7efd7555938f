"""Character devices of a real QEMU."""

import os
import pty
import re
import select
import socket
from contextlib import closing

import pytest

from xenwire.errors import UsageError, XenwireError
from xenwire.qemu.chardev import (
    KINDS,
    Braille,
    Dbus,
    File,
    Hub,
    InetAddress,
    MsMouse,
    Mux,
    Null,
    Parallel,
    Pipe,
    Pty,
    QemuVdagent,
    RingBuf,
    Serial,
    Socket,
    SpicePort,
    SpiceVmc,
    Stdio,
    Udp,
    UnixAddress,
    Vc,
    VsockAddress,
    WcTablet,
    parse_compat,
    parse_option,
)
from xenwire.qemu.chardev import (
    TestDev as QemuTestDev,
)
from xenwire.qemu.process import Qemu
from xenwire.qemu.program import find_qemu
from xenwire.qemu.qmp.client import QmpError

pytestmark = pytest.mark.qemu

BARE = ("-machine", "none", "-nodefaults", "-no-user-config", "-display", "none")
HERE = "127.0.0.1"


@pytest.fixture
async def start(tmp_path):
    async def start(*arguments, bare=BARE):
        return await Qemu.start(find_qemu(), [*bare, *arguments], log=tmp_path / "qemu.log")

    return start


@pytest.fixture
def terminal():
    """Give the path of a terminal, and its other end."""
    ours, theirs = pty.openpty()
    yield os.ttyname(theirs), ours
    os.close(theirs)
    os.close(ours)


@pytest.fixture
def listener():
    with closing(socket.create_server((HERE, 0))) as listener:
        yield listener


async def listed(qmp):
    chardevs = {each["label"]: each["filename"] for each in await qmp.execute("query-chardev")}
    return {label: name for label, name in chardevs.items() if label != "xenwire-monitor"}


def on_command_line(chardevs):
    return [word for name, chardev in chardevs.items() for word in ("-chardev", chardev.to_option(name))]


@pytest.fixture
def supported(tmp_path, terminal, listener):
    """Give a chardev of every kind that QEMU can have on this machine, and how its filename begins."""
    os.mkfifo(tmp_path / "fifo.in")
    os.mkfifo(tmp_path / "fifo.out")
    comma, port = f"{tmp_path}/a,b", listener.getsockname()[1]
    abstract = UnixAddress(f"xenwire{os.getpid()}", abstract=True, tight=False)
    return {
        "null": (Null(), "null"),
        "logged": (Null(logfile=f"{comma}.log", logappend=True), "null"),
        "pty": (Pty(), "pty:/dev/pts/"),
        "file": (File(f"{comma}.out", append=True), "file"),
        "pipe": (Pipe(f"{tmp_path}/fifo"), "pipe"),
        "serial": (Serial(terminal[0]), "serial"),
        "stdio": (Stdio(signal=False), "stdio"),
        "ringbuf": (RingBuf(size=4096), "ringbuf"),
        "vc": (Vc(cols=80, rows=25), "vc"),
        "msmouse": (MsMouse(), "msmouse"),
        "wctablet": (WcTablet(), "wctablet"),
        "testdev": (QemuTestDev(), "testdev"),
        "vdagent": (QemuVdagent(clipboard=True), "qemu-vdagent"),
        "spicevmc": (SpiceVmc("vdagent"), "spicevmc"),
        "dbus": (Dbus("org.xenwire.test"), "disconnected:fd:"),
        "listens": (Socket(UnixAddress(comma), server=True), f"disconnected:unix:{comma},server=on"),
        "connects": (Socket(UnixAddress(comma)), "unix:"),
        "retries": (
            Socket(UnixAddress(f"{tmp_path}/none"), reconnect_ms=60_000),
            f"disconnected:unix:{tmp_path}/none",
        ),
        "abstract": (
            Socket(abstract, server=True),
            f"disconnected:unix:{abstract.path},abstract=on,server=on",
        ),
        "tcp": (Socket(InetAddress(HERE, port), nodelay=True), f"tcp:{HERE}:"),
        "any": (Socket(InetAddress("", 0, ipv4=True), server=True), "disconnected:tcp:0.0.0.0:"),
        "telnet": (
            Socket(InetAddress(HERE, 0), server=True, telnet=True),
            f"disconnected:telnet:{HERE}:",
        ),
        "websocket": (
            Socket(InetAddress(HERE, 0), server=True, websocket=True),
            f"disconnected:websocket:{HERE}:",
        ),
        "udp": (Udp(InetAddress(HERE, 9), InetAddress(HERE, 0)), "udp"),
        "mux": (Mux("null"), "mux"),
    }


def others(tmp_path):
    """Give a chardev of each kind that needs what this machine does not have, and what QEMU says of it."""
    return {
        Parallel("/dev/null"): "not a parallel port",
        Braille(): "brlapi",
        SpicePort("org.xenwire.test"): "spice not enabled",
        Pipe(f"{tmp_path}/none"): "Could not open",
    }


def test_every_kind_is_tried(supported, tmp_path):
    tried = [each for each, _ in supported.values()] + [*others(tmp_path), Hub(("a",))]
    assert {*map(type, tried)} == {*KINDS.values()}


async def test_all_on_the_command_line(start, supported):
    chardevs = {name: chardev for name, (chardev, _) in supported.items()}
    async with await start(*on_command_line(chardevs)) as qemu:
        found = await listed(qemu.qmp)
    assert found.keys() == chardevs.keys()
    for name, (_, filename) in supported.items():
        # The one that listens is connected to as soon as QEMU runs.
        assert found[name].startswith(filename.removeprefix("disconnected:" if name == "listens" else ""))


async def test_each_comes_and_goes_over_qmp(start, supported):
    async with await start() as qemu:
        for name, (chardev, filename) in supported.items():
            answer = await qemu.qmp.execute("chardev-add", chardev.to_qmp(name))
            found = (await listed(qemu.qmp))[name]
            assert found.startswith(filename)
            assert found == f"pty:{answer['pty']}" if isinstance(chardev, Pty) else answer == {}
        for name in supported.keys() - {"mux", "null"}:
            await qemu.qmp.execute("chardev-remove", id=name)
        assert (await listed(qemu.qmp)).keys() == {"mux", "null"}
        if qemu.qmp.version < (8,):  # a multiplexer is busy there even without frontends
            with pytest.raises(QmpError, match="busy"):
                await qemu.qmp.execute("chardev-remove", id="mux")


async def test_what_this_machine_does_not_have_is_refused(start, tmp_path):
    async with await start() as qemu:
        for chardev, reason in others(tmp_path).items():
            with pytest.raises(QmpError, match=reason):
                await qemu.qmp.execute("chardev-add", chardev.to_qmp("a"))
        assert await listed(qemu.qmp) == {}
    for chardev, reason in others(tmp_path).items():
        with pytest.raises(XenwireError, match=reason):
            await start("-chardev", chardev.to_option("a"))


async def test_vsock_is_for_qmp_only(start):
    anybody = 2**32 - 1
    chardev = Socket(VsockAddress(anybody, anybody), server=True)
    with pytest.raises(UsageError, match="command line"):
        chardev.to_option("a")
    try:
        socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).close()
    except OSError:
        pytest.skip("this kernel has no vsock")
    async with await start() as qemu:
        await qemu.qmp.execute("chardev-add", chardev.to_qmp("a"))
        assert (await listed(qemu.qmp))["a"].startswith(f"disconnected:vsock:{anybody}:")


async def test_what_is_newer_than_this_qemu_is_refused_by_both(start, tmp_path):
    newer = [
        Hub(("null",)),
        File(f"{tmp_path}/o", input_path="/dev/null"),
        Socket(UnixAddress("/a"), reconnect_ms=1),
    ]
    async with await start() as qemu:
        version = qemu.qmp.version
    if version >= (8, 1):
        pytest.skip("this QEMU is a newer one")
    for chardev in newer:
        with pytest.raises(UsageError, match=r"7\.2|9\.2"):
            chardev.to_option("a", version)
        with pytest.raises(XenwireError, match="Invalid parameter"):
            await start("-chardev", Null().to_option("null"), "-chardev", chardev.to_option("a", (10, 0)))


async def test_a_mux_of_the_command_line_is_two_chardevs_in_qmp(start):
    async with await start("-chardev", Null(mux=True).to_option("one")) as qemu:
        await qemu.qmp.execute("chardev-add", Null().to_qmp("two-base"))
        await qemu.qmp.execute("chardev-add", Mux("two-base").to_qmp("two"))
        assert await listed(qemu.qmp) == {"one": "mux", "one-base": "null", "two": "mux", "two-base": "null"}


@pytest.mark.parametrize(
    "text",
    [
        "backend=ringbuf,id=a,size=0x1000",
        "memory,id=a,size=4k",
        "socket,id=a,path={0}/a,,b,server,nowait",
        "socket,id=a,host=127.0.0.1,port=0,server=y,wait=n,nodelay,telnet",
        "socket,id=a,host=127.0.0.1,port={1},delay=off",
        "udp,id=a,port=9",
        "vc,id=a,width=0100,height=0x40",
    ],
)
async def test_qemu_understands_what_we_read(start, tmp_path, listener, text):
    text = text.format(tmp_path, listener.getsockname()[1])
    found = []
    for option in (text, parse_option(text)[1].to_option("a")):
        async with await start("-chardev", option) as qemu:
            found.append((await listed(qemu.qmp))["a"])
    assert anonymous(found[0]) == anonymous(found[1])


def anonymous(filename):
    """Leave out the numbers, which the kernel chooses, of ports and ptys."""
    return re.sub(r"[0-9]+", "N", filename.replace("memory", "ringbuf"))


@pytest.mark.parametrize(
    "text",
    [
        "null",
        "pty",
        "stdio",
        "mon:stdio",
        "mon:pty",
        "vc:80Cx25C",
        "vc:640x480",
        "msmouse",
        "file:{0}/a,b=c",
        "unix:{0}/s,,t,server=on,wait=off",
        "unix:{0}/s,server,nowait",
        "tcp:127.0.0.1:0,server,nowait,nodelay",
        "telnet:127.0.0.1:0,server=on,wait=off",
        "websocket::0,server=on,wait=off,ipv4=on",
        "tcp:127.0.0.1:{1}",
        "udp::9@127.0.0.1:0",
        "{2}",
    ],
)
async def test_short_texts_mean_what_they_mean_to_qemu(start, tmp_path, listener, terminal, text):
    text = text.format(tmp_path, listener.getsockname()[1], terminal[0])
    bare = ("-machine", "q35", *BARE[2:])
    async with await start("-serial", text, bare=bare) as qemu:
        theirs = await listed(qemu.qmp)
    made = {os.path.getsize(path) for path in tmp_path.iterdir() if path.name == "a,b=c"}
    chardev = parse_compat(text)
    async with await start("-chardev", chardev.to_option("serial0"), bare=bare) as qemu:
        ours = await listed(qemu.qmp)
    assert {name: anonymous(filename) for name, filename in ours.items()} == {
        name: anonymous(filename) for name, filename in theirs.items() if name in ours
    }
    assert bool(made) == text.startswith("file:")


def greeting(fd):
    """Read what a monitor says first."""
    said = b""
    while b"\n" not in said:
        assert select.select([fd], [], [], 10)[0], said
        said += os.read(fd, 4096)
    return said


async def test_qmp_is_spoken_on_what_carries_it(start, tmp_path, terminal, listener):
    os.mkfifo(tmp_path / "fifo.in")
    os.mkfifo(tmp_path / "fifo.out")
    chardevs = {
        "unix": Socket(UnixAddress(f"{tmp_path}/s"), server=True),
        "tcp": Socket(InetAddress(HERE, listener.getsockname()[1])),
        "pty": Pty(),
        "pipe": Pipe(f"{tmp_path}/fifo"),
        "serial": Serial(terminal[0]),
        "file": File(f"{tmp_path}/log"),
    }
    monitors = [word for name in chardevs for word in ("-mon", f"chardev={name},mode=control")]
    async with await start(*on_command_line(chardevs), *monitors) as qemu:
        names = await listed(qemu.qmp)
        tcp, _ = listener.accept()
        with closing(tcp), closing(socket.socket(socket.AF_UNIX)) as unix:
            unix.connect(f"{tmp_path}/s")
            slave = os.open(names["pty"].removeprefix("pty:"), os.O_RDWR | os.O_NOCTTY)
            fifo = os.open(tmp_path / "fifo.out", os.O_RDONLY)
            try:
                for fd in (unix.fileno(), tcp.fileno(), slave, fifo, terminal[1]):
                    assert greeting(fd).startswith(b'{"QMP": ')
            finally:
                os.close(slave)
                os.close(fifo)
        assert (tmp_path / "log").read_bytes().startswith(b'{"QMP": ')
    carriers = [name for name, chardev in chardevs.items() if chardev.qmp_obstacle is None]
    assert carriers == [name for name in chardevs if name != "file"]
