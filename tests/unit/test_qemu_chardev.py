import pytest

from xenwire.errors import UsageError
from xenwire.qemu.chardev import (
    KINDS,
    Braille,
    Dbus,
    FdAddress,
    File,
    Filename,
    Hub,
    InetAddress,
    MsMouse,
    Mux,
    Null,
    Parallel,
    Pipe,
    Pty,
    QemuVdagent,
    Reference,
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
    fdset_path,
    from_qmp,
    parse_compat,
    parse_filename,
    parse_option,
)
from xenwire.qemu.chardev import (
    TestDev as QemuTestDev,
)
from xenwire.qemu.qmp.session import Version

TCP = InetAddress("h", 1)
UNIX = UnixAddress("/a")


def arguments(kind, **data):
    return {"id": "c1", "backend": {"type": kind, "data": data}}


def unix(path, **more):
    return {"type": "unix", "data": {"path": path, **more}}


def inet(host, port, **more):
    return {"type": "inet", "data": {"host": host, "port": port, **more}}


def fd(name):
    return {"type": "fd", "data": {"str": name}}


FORMS = [
    (Null(), "null", arguments("null")),
    (Pty(), "pty", arguments("pty")),
    (MsMouse(), "msmouse", arguments("msmouse")),
    (WcTablet(), "wctablet", arguments("wctablet")),
    (QemuTestDev(), "testdev", arguments("testdev")),
    (Braille(), "braille", arguments("braille")),
    (File("/log"), "file,path=/log", arguments("file", out="/log")),
    (
        File(fdset_path(3), append=True),
        "file,path=/dev/fdset/3,append=on",
        arguments("file", out="/dev/fdset/3", append=True),
    ),
    (Pipe("/p"), "pipe,path=/p", arguments("pipe", device="/p")),
    (Serial("/dev/hvc0"), "serial,path=/dev/hvc0", arguments("serial", device="/dev/hvc0")),
    (Parallel("/dev/p"), "parallel,path=/dev/p", arguments("parallel", device="/dev/p")),
    (Stdio(signal=False), "stdio,signal=off", arguments("stdio", signal=False)),
    (RingBuf(), "ringbuf", arguments("ringbuf")),
    (RingBuf(size=4096), "ringbuf,size=4096", arguments("ringbuf", size=4096)),
    (Vc(), "vc", arguments("vc")),
    (Vc(cols=80, rows=25), "vc,cols=80,rows=25", arguments("vc", cols=80, rows=25)),
    (Vc(640, 480), "vc,width=640,height=480", arguments("vc", width=640, height=480)),
    (SpiceVmc("vdagent"), "spicevmc,name=vdagent", arguments("spicevmc", type="vdagent")),
    (SpicePort("org.x"), "spiceport,name=org.x", arguments("spiceport", fqdn="org.x")),
    (Dbus("org.x"), "dbus,name=org.x", arguments("dbus", name="org.x")),
    (
        QemuVdagent(mouse=False, clipboard=True),
        "qemu-vdagent,mouse=off,clipboard=on",
        arguments("qemu-vdagent", mouse=False, clipboard=True),
    ),
    (Mux("base"), "mux,chardev=base", arguments("mux", chardev="base")),
    (
        Socket(UnixAddress("/a,b")),
        "socket,path=/a,,b,server=off",
        arguments("socket", addr=unix("/a,b"), server=False),
    ),
    (
        Socket(UNIX, server=True),
        "socket,path=/a,server=on,wait=off",
        arguments("socket", addr=unix("/a"), server=True, wait=False),
    ),
    (
        Socket(UnixAddress("a", abstract=True, tight=False), server=True, wait=True),
        "socket,path=a,abstract=on,tight=off,server=on,wait=on",
        arguments("socket", addr=unix("a", abstract=True, tight=False), server=True, wait=True),
    ),
    (
        Socket(FdAddress(7), server=True),
        "socket,fd=7,server=on,wait=off",
        arguments("socket", addr=fd("7"), server=True, wait=False),
    ),
    (
        Socket(FdAddress("peer")),
        "socket,fd=peer,server=off",
        arguments("socket", addr=fd("peer"), server=False),
    ),
    (
        Socket(InetAddress("", 5000, to=5010, ipv4=True), server=True, telnet=True),
        "socket,host=,port=5000,to=5010,ipv4=on,server=on,wait=off,telnet=on",
        arguments("socket", addr=inet("", "5000", to=5010, ipv4=True), server=True, wait=False, telnet=True),
    ),
    (
        Socket(InetAddress("::1", "http"), nodelay=True, tls_creds="tls0", tls_authz="a0"),
        "socket,host=::1,port=http,server=off,nodelay=on,tls-creds=tls0,tls-authz=a0",
        arguments(
            "socket",
            addr=inet("::1", "http"),
            server=False,
            nodelay=True,
            **{"tls-creds": "tls0", "tls-authz": "a0"},
        ),
    ),
    (
        Udp(InetAddress("h", 9, ipv6=True)),
        "udp,host=h,port=9,ipv6=on",
        arguments("udp", remote=inet("h", "9", ipv6=True)),
    ),
    (
        Udp(InetAddress("h", 9), InetAddress("::", 0)),
        "udp,host=h,port=9,localaddr=::,localport=0",
        arguments("udp", remote=inet("h", "9"), local=inet("::", "0")),
    ),
    (
        Null(logfile="/a,b", logappend=True),
        "null,logfile=/a,,b,logappend=on",
        arguments("null", logfile="/a,b", logappend=True),
    ),
]


@pytest.mark.parametrize(("chardev", "option", "qmp"), FORMS, ids=[option for _, option, _ in FORMS])
def test_both_forms_of_each_kind(chardev, option, qmp):
    kind, comma, rest = option.partition(",")
    assert chardev.to_option("c1") == f"{kind},id=c1{comma}{rest}"
    assert chardev.to_qmp("c1") == qmp
    assert parse_option(chardev.to_option("c1")) == from_qmp(qmp) == ("c1", chardev)


def test_each_kind_is_among_these_forms_but_the_newest():
    assert {type(chardev) for chardev, _, _ in FORMS} == {*KINDS.values()} - {Hub}


@pytest.mark.parametrize("chardev", [Null(), Pty(), Socket(FdAddress(3)), File("/log")], ids=str)
def test_a_bad_id_is_refused_in_both_forms(chardev):
    for form in (chardev.to_option, chardev.to_qmp):
        with pytest.raises(UsageError, match="not an id"):
            form("a,server=on")


NEWER = {
    (8, 1): (File("/o", input_path="/i"), "file,id=c1,path=/o,input-path=/i", None),
    (9, 2): (Pty(path="/link"), "pty,id=c1,path=/link", arguments("pty", path="/link")),
    (10, 0): (
        Hub(("a", "b")),
        "hub,id=c1,chardevs.0=a,chardevs.1=b",
        arguments("hub", chardevs=["a", "b"]),
    ),
}


@pytest.mark.parametrize("since", NEWER, ids=str)
def test_what_a_qemu_does_not_have_yet_is_refused(since):
    chardev, option, qmp = NEWER[since]
    for write in [chardev.to_option, *([chardev.to_qmp] if qmp else [])]:
        with pytest.raises(UsageError, match=rf"QEMU 7\.2 has no .*{since[0]}\.{since[1]}") as caught:
            write("c1", Version(7, 2, 22, "Debian"))
        assert caught.value.hint
    assert chardev.to_option("c1", Version(*since, 0, "")) == option
    assert parse_option(option)[1] == chardev
    if qmp:
        assert chardev.to_qmp("c1", since) == qmp
        assert from_qmp(qmp)[1] == chardev


def test_qmp_always_had_the_input_of_a_file():
    assert File("/o", input_path="/i").to_qmp("c1") == arguments("file", out="/o", **{"in": "/i"})


def test_the_interval_of_a_client_is_in_seconds_before_qemu_9_2():
    chardev = Socket(UNIX, reconnect_ms=2000)
    data = {"addr": unix("/a"), "server": False}
    assert chardev.to_option("c1", (9, 1)) == "socket,id=c1,path=/a,server=off,reconnect=2"
    assert chardev.to_option("c1", (9, 2)) == "socket,id=c1,path=/a,server=off,reconnect-ms=2000"
    assert chardev.to_qmp("c1", (9, 1)) == arguments("socket", **data, reconnect=2)
    assert chardev.to_qmp("c1", (9, 2)) == arguments("socket", **data, **{"reconnect-ms": 2000})
    for version in ((9, 1), (9, 2)):
        assert parse_option(chardev.to_option("c1", version)) == ("c1", chardev)
        assert from_qmp(chardev.to_qmp("c1", version)) == ("c1", chardev)
    with pytest.raises(UsageError, match="counts in seconds"):
        Socket(UNIX, reconnect_ms=1500).to_option("c1")


def test_a_mux_takes_two_chardevs_in_qmp():
    assert Null(mux=True).to_option("c1") == "null,id=c1,mux=on"
    with pytest.raises(UsageError, match="these are two") as caught:
        Null(mux=True).to_qmp("c1")
    assert "Mux(c1-base) as c1" in caught.value.hint


@pytest.mark.parametrize(
    "address",
    [VsockAddress(3, 1024), InetAddress("h", 1, numeric=True), InetAddress("h", 1, keep_alive=True)],
)
def test_what_only_qmp_can_say(address):
    chardev = Socket(address)
    assert from_qmp(chardev.to_qmp("c1")) == ("c1", chardev)
    with pytest.raises(UsageError, match="cannot be said on the command line"):
        chardev.to_option("c1")


def test_the_numbers_of_vsock_are_texts():
    addr = {"type": "vsock", "data": {"cid": "3", "port": "1024"}}
    assert Socket(VsockAddress(3, 1024)).to_qmp("c1") == arguments("socket", addr=addr, server=False)


def test_defaults_of_the_command_line():
    assert parse_option("socket,id=c1,path=/a") == ("c1", Socket(UNIX))
    assert parse_option("socket,id=c1,path=/a,server=on") == ("c1", Socket(UNIX, server=True, wait=True))
    assert parse_option("udp,id=c1,port=9") == ("c1", Udp(InetAddress("localhost", 9)))
    near = InetAddress("1.2.3.4", 0)
    assert parse_option("udp,id=c1,port=9,localaddr=1.2.3.4") == (
        "c1",
        Udp(InetAddress("localhost", 9), near),
    )


def test_defaults_of_qmp():
    assert from_qmp(arguments("socket", addr=unix("/a"))) == ("c1", Socket(UNIX, server=True))


@pytest.mark.parametrize(
    ("text", "chardev"),
    [
        ("tty,id=c1,path=/dev/ttyS0", Serial("/dev/ttyS0")),
        ("parport,id=c1,path=/dev/p", Parallel("/dev/p")),
        ("memory,id=c1,size=64K", RingBuf()),
        ("ringbuf,id=c1,size=0x10", RingBuf(size=16)),
        ("ringbuf,id=c1,size=016", RingBuf(size=16)),
        ("vc,id=c1,width=010,height=0x10", Vc(8, 16)),
        ("backend=null,id=c1", Null()),
        ("id=c1,backend=null", Null()),
        ("null,id=c1,mux=yes", Null(mux=True)),
        ("socket,id=c1,path=/a,server,nowait", Socket(UNIX, server=True)),
        ("socket,id=c1,host=h,port=1,nodelay", Socket(TCP, nodelay=True)),
        ("socket,id=c1,host=h,port=1,delay=on", Socket(TCP)),
        ("spicevmc,id=c1,name=vdagent,debug=3", SpiceVmc("vdagent")),
        ("spiceport,id=c1,debug=0,name=x", SpicePort("x")),
        ("null,id=c1,", Null()),
    ],
)
def test_other_spellings(text, chardev):
    assert parse_option(text) == ("c1", chardev)


def test_the_old_name_of_ringbuf_in_qmp():
    assert from_qmp(arguments("memory", size=16)) == ("c1", RingBuf(size=16))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("null", "without an id"),
        ("null,id=1", "not an id"),
        ("null,id=a,id=b", "id comes twice"),
        ("console,id=a", "not a kind of chardev: 'console'"),
        (",id=a", "not a kind of chardev: ''"),
        ("null,id=a,path=/x", "null chardev has no path"),
        ("pipe,id=a", "pipe chardev without path"),
        ("stdio,id=a,signal=1", "bad signal .* on or off"),
        ("vc,id=a,width=x", "bad width"),
        ("vc,id=a,width=08", "bad width"),
        ("vc,id=a,width=0", "bad width"),
        ("ringbuf,id=a,size=100", "power of two"),
        ("ringbuf,id=a,size=1.5K", "bad size"),
        ("socket,id=a", "no address"),
        ("socket,id=a,port=1", "no address"),
        ("socket,id=a,path=/x,fd=3", "path and fd"),
        ("socket,id=a,host=h", "inet address without port"),
        ("socket,id=a,path=/x,ipv4=on", "socket chardev has no ipv4"),
        ("socket,id=a,host=h,port=65536", "bad port"),
        ("socket,id=a,host=h,port=a b", "bad port"),
        ("socket,id=a,host=h,port=1,delay=off,nodelay=on", "same thing"),
        ("socket,id=a,path=/x,reconnect=1,reconnect-ms=1000", "same thing"),
        ("socket,id=a,path=/x,reconnect=99999999999", "bad reconnect"),
        ("hub,id=a,chardevs.1=x", "hub of nothing"),
        ("udp,id=a,host=h", "without port"),
    ],
)
def test_options_that_make_no_sense(text, why):
    with pytest.raises(UsageError, match=why) as caught:
        parse_option(text)
    assert caught.value.reason


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        ({}, "not the arguments"),
        ({"id": "a", "backend": {"type": "null"}}, "not the arguments"),
        (arguments("null") | {"x": 1}, "chardev-add has no x"),
        (arguments("tty", device="/dev/ttyS0"), "not a kind"),
        (arguments("null", path="/x"), "null chardev has no path"),
        (arguments("null", mux=True), "null chardev has no mux"),
        (arguments("file"), "without out"),
        (arguments("file", out=3), "bad out"),
        (arguments("ringbuf", size=True), "bad size"),
        (arguments("ringbuf", size="16"), "bad size"),
        (arguments("stdio", signal="on"), "bad signal"),
        (arguments("socket"), "not an address"),
        (arguments("socket", addr={"type": "unix", "path": "/a"}), "not an address"),
        (arguments("socket", addr=unix("/a", fd=3)), "unix address has no fd"),
        (arguments("socket", addr=inet("h", 1)), "bad port"),
        (arguments("socket", addr=unix("/a"), reconnect=1), "cannot reconnect"),
        (arguments("udp", remote=unix("/a")), "UDP on a unix address"),
        (arguments("hub", chardevs="a"), "bad chardevs"),
        (arguments("hub", chardevs=[1]), "bad chardevs"),
    ],
)
def test_arguments_that_make_no_sense(sent, why):
    with pytest.raises(UsageError, match=why) as caught:
        from_qmp(sent)
    assert caught.value.reason


@pytest.mark.parametrize("make", [UnixAddress, File, Pipe, Serial])
@pytest.mark.parametrize("path", ["", "a\0b", "\udc80"])
def test_what_is_no_path_is_refused(make, path):
    with pytest.raises(UsageError, match="bad path"):
        make(path)


def test_a_socket_path_has_at_most_107_bytes():
    assert UnixAddress("é" * 53 + "x").path
    with pytest.raises(UsageError, match="1 to 107 bytes") as caught:
        UnixAddress("é" * 54)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: Socket(UNIX, wait=True), "wait is for server=on"),
        (lambda: Socket(UNIX, websocket=True), "websocket is for server=on"),
        (lambda: Socket(UNIX, server=True, reconnect_ms=1), "reconnect is for server=off"),
        (lambda: Socket(FdAddress(3), reconnect_ms=1), "descriptor cannot reconnect"),
        (lambda: Socket(UNIX, server=True, telnet=True, websocket=True), "several protocols"),
        (lambda: Socket(UNIX, nodelay=True), "without TCP"),
        (lambda: Socket(UNIX, tls_creds="t"), "TLS on a unix"),
        (lambda: Socket(FdAddress(3), tls_creds="t"), "TLS on a fd"),
        (lambda: Socket(TCP, tls_authz="t"), "tls-authz without"),
        (lambda: Socket(InetAddress("", 1)), "nowhere"),
        (lambda: Socket(InetAddress("h", 0)), "nowhere"),
        (lambda: Socket(InetAddress("h", 1, to=2)), "one port"),
        (lambda: InetAddress("h", 2, to=1), "no port is from 2 to 1"),
        (lambda: InetAddress("h", -1), "bad port"),
        (lambda: InetAddress("h", "80"), "bad port"),
        (lambda: InetAddress("h", 1, ipv4=False, ipv6=False), "neither"),
        (lambda: UnixAddress("/a", tight=False), "only abstract names"),
        (lambda: FdAddress("3x"), "bad name"),
        (lambda: FdAddress(-1), "bad name"),
        (lambda: VsockAddress(2**32, 1), "bad cid"),
        (lambda: Udp(InetAddress("", 1)), "nowhere"),
        (lambda: Udp(InetAddress("h", 1, to=2)), "TCP's"),
        (lambda: Udp(TCP, InetAddress("h", 1, ipv4=True)), "local end"),
        (lambda: Null(logappend=True), "no log"),
        (lambda: RingBuf(size=0), "power of two"),
        (lambda: Vc(width=1, cols=1), "two sizes"),
        (lambda: Vc(height=1, rows=1), "two sizes"),
        (lambda: Mux("a b"), "bad chardev"),
        (lambda: Hub(()), "hub of nothing"),
        (lambda: Hub(("a", "a")), "different"),
        (lambda: Hub(("a", "b", "c", "d", "e")), "1 to 4"),
        (lambda: Hub(("1",)), "not an id"),
        (lambda: SpicePort(""), "bad name"),
    ],
)
def test_no_value_is_made_of_what_makes_no_sense(make, why):
    with pytest.raises(UsageError, match=why):
        make()


@pytest.mark.parametrize(
    ("text", "chardev"),
    [
        ("pty", Pty()),
        ("null", Null()),
        ("stdio", Stdio()),
        ("vc", Vc()),
        ("msmouse", MsMouse()),
        ("wctablet", WcTablet()),
        ("testdev", QemuTestDev()),
        ("braille", Braille()),
        ("vc:640x480", Vc(640, 480)),
        ("vc:80Cx25C", Vc(cols=80, rows=25)),
        ("file:/a,b=c:d", File("/a,b=c:d")),
        ("pipe:/a", Pipe("/a")),
        ("pty:/link", Pty(path="/link")),
        ("unix:/a,,b", Socket(UnixAddress("/a,b"))),
        ("unix:/a,server,nowait", Socket(UNIX, server=True)),
        ("unix:path=/a,server=on", Socket(UNIX, server=True, wait=True)),
        ("tcp:h:1", Socket(TCP)),
        ("tcp:h:http,nodelay=on", Socket(InetAddress("h", "http"), nodelay=True)),
        ("tcp::1,server=on,wait=off", Socket(InetAddress("", 1), server=True)),
        ("tcp:h:1,server,nowait", Socket(TCP, server=True)),
        ("telnet:h:1,server=on", Socket(TCP, server=True, wait=True, telnet=True)),
        ("tn3270:h:1,server=on,wait=off", Socket(TCP, server=True, tn3270=True)),
        ("websocket:h:1,server=on,wait=off", Socket(TCP, server=True, websocket=True)),
        ("udp:h:1", Udp(TCP)),
        ("udp::1", Udp(InetAddress("localhost", 1))),
        ("udp:h:1@:2", Udp(TCP, InetAddress("", 2))),
        ("udp:h:1@l:2", Udp(TCP, InetAddress("l", 2))),
        ("/dev/parport0", Parallel("/dev/parport0")),
        ("/dev/ppi0", Parallel("/dev/ppi0")),
        ("/dev/ttyS0", Serial("/dev/ttyS0")),
        ("chardev:libxl-channel0", Reference("libxl-channel0")),
        ("mon:pty", Pty(mux=True)),
        ("mon:stdio", Stdio(signal=False, mux=True)),
        ("mon:unix:/a", Socket(UNIX, mux=True)),
        ("unix:/a,mux=on,logfile=/l", Socket(UNIX, mux=True, logfile="/l")),
    ],
)
def test_short_texts(text, chardev):
    assert parse_compat(text) == chardev


@pytest.mark.parametrize(
    "text",
    [
        "",
        "none",
        "nul",
        "con:",
        "COM1",
        "ptyx",
        "vcx",
        "vc:",
        "vc:1x",
        "vc:0x0",
        "file:",
        "unix:",
        "unix:/a=b",
        "unix:/a,id=x",
        "tcp:h",
        "tcp:::1:1",
        "tcp:h:1,port=2",
        "tcp:h:1,x",
        "tcp:h:1,server=on,server=off",
        "udp:h:1,server=on",
        "udp:h:1@2",
        "mon:mon:pty",
        "mon:chardev:x",
        "chardev:",
        "socket,id=a,path=/x",
        "x:y",
    ],
)
def test_short_texts_that_make_no_sense(text):
    with pytest.raises(UsageError) as caught:
        parse_compat(text)
    assert caught.value.reason


CARRIERS = [
    Socket(UNIX),
    Socket(TCP),
    Pty(),
    Pipe("/p"),
    Serial("/dev/hvc0"),
    Stdio(),
    File("/o", input_path="/i"),
    SpicePort("org.qemu.monitor.qmp.0"),
    Dbus("org.qemu.monitor.qmp.0"),
]
ONE_WAY = [Null(), File("/o"), RingBuf(), Parallel("/dev/p"), QemuTestDev()]
SPECIAL = [
    Udp(TCP),
    Vc(),
    MsMouse(),
    WcTablet(),
    Braille(),
    SpiceVmc("x"),
    QemuVdagent(),
    Mux("a"),
    Hub(("a",)),
]


def test_which_kinds_carry_qmp():
    assert {*map(type, [*CARRIERS, *ONE_WAY, *SPECIAL])} == {*KINDS.values()}
    assert [each for each in CARRIERS if each.qmp_obstacle or not each.duplex] == []
    assert [each for each in ONE_WAY if not each.qmp_obstacle or each.duplex] == []
    assert [each for each in SPECIAL if not each.qmp_obstacle or not each.duplex] == []
    assert "0x01" in Pty(mux=True).qmp_obstacle
    assert "0x01" in File("/o", input_path="/i", mux=True).qmp_obstacle


def test_which_kinds_pass_descriptors():
    passing = [Socket(UNIX), Socket(FdAddress(3), server=True), Socket(UNIX, server=True, telnet=True)]
    assert all(each.passes_fds for each in passing)
    others = [Socket(TCP), Socket(VsockAddress(1, 1)), Socket(UNIX, server=True, websocket=True), Pty()]
    assert not any(each.passes_fds for each in others)


@pytest.mark.parametrize(
    ("text", "filename"),
    [
        ("pty:/dev/pts/3", Filename("pty", "/dev/pts/3", connected=True)),
        ("disconnected:unix:/x:y,server=on", Filename("unix", "/x:y,server=on", connected=False)),
        ("unix:/x,server=on", Filename("unix", "/x,server=on", connected=True)),
        ("null", Filename("null", "", connected=True)),
    ],
)
def test_filenames_of_query_chardev(text, filename):
    assert parse_filename(text) == filename


def test_the_path_of_a_pty():
    assert parse_filename("pty:/dev/pts/3").pty == "/dev/pts/3"
    assert parse_filename("unix:/dev/pts/3").pty is None
