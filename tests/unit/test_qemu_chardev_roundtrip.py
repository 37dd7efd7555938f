"""What is written is read back the same, and means the same on the command line and in QMP."""

import dataclasses
import json

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from xenwire.errors import UsageError
from xenwire.qemu.chardev import (
    KINDS,
    Braille,
    Dbus,
    FdAddress,
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
    from_qmp,
    parse_compat,
    parse_option,
)
from xenwire.qemu.chardev import (
    TestDev as QemuTestDev,
)

NEW = (10, 0)
OLD = (7, 2)

IDS = st.from_regex(r"[A-Za-z][A-Za-z0-9._-]{0,10}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)
TRICKY = TEXTS | st.text(",=on", min_size=1, max_size=8)
BOOLS = st.booleans()
EXTENTS = st.none() | st.integers(1, 2**31 - 1)
PORTS = st.integers(1, 65535) | st.sampled_from(["http", "x11-1"])


@st.composite
def made(draw, kind, *args, **kwargs):
    common = {"mux": BOOLS, "logfile": st.none() | TRICKY, "logappend": BOOLS}
    drawn = {name: draw(each) for name, each in (common | kwargs).items()}
    if drawn["logfile"] is None:
        drawn["logappend"] = False
    return kind(*(draw(each) for each in args), **drawn)


@st.composite
def inet(draw, server, **more):
    port = draw(PORTS | st.just(0) if server else PORTS)
    host = draw(TRICKY | st.just("") if server else TRICKY)
    to = draw(st.none() | st.integers(port if isinstance(port, int) else 0, 65535)) if server else None
    ipv4, ipv6 = draw(st.tuples(*[st.none() | BOOLS] * 2).filter(lambda pair: pair != (False, False)))
    return InetAddress(host, port, to, ipv4, ipv6, **{name: draw(each) for name, each in more.items()})


@st.composite
def sockets(draw, *, qmp):
    server = draw(BOOLS)
    more = {"numeric": BOOLS, "keep_alive": BOOLS, "mptcp": BOOLS} if qmp else {}
    addresses = {
        "unix": st.builds(UnixAddress, TRICKY) | st.builds(UnixAddress, TRICKY, st.just(True), BOOLS),
        "inet": inet(server, **more),
        "fd": st.builds(FdAddress, st.integers(0, 2**31) | IDS),
    }
    if qmp:
        addresses["vsock"] = st.builds(VsockAddress, *[st.integers(0, 2**32 - 1)] * 2)
    address = draw(st.sampled_from(sorted(addresses)).flatmap(addresses.get))
    options = {"server": st.just(server)}
    if server:
        options["wait"] = BOOLS
        spoken = draw(st.sampled_from(["telnet", "tn3270", "websocket", None]))
        options |= {spoken: st.just(True)} if spoken else {}
    elif address.kind != "fd":
        options["reconnect_ms"] = st.sampled_from([0, 1, 1000, 4_000_000])
    if address.kind in ("inet", "fd"):
        options["nodelay"] = BOOLS
    if address.kind == "inet" and draw(BOOLS):
        options |= {"tls_creds": IDS, "tls_authz": st.none() | IDS}
    return draw(made(Socket, st.just(address), **options))


FAR = st.builds(InetAddress, TRICKY, PORTS, ipv4=st.none() | BOOLS)
NEAR = st.builds(InetAddress, TRICKY | st.just(""), PORTS | st.just(0))
SIZES = [
    {"width": EXTENTS, "height": EXTENTS},
    {"cols": EXTENTS, "rows": EXTENTS},
    {"width": EXTENTS, "rows": EXTENTS},
]
OTHERS = {
    Braille: made(Braille),
    Dbus: made(Dbus, TRICKY),
    File: made(File, TRICKY, append=BOOLS, input_path=st.none() | TRICKY),
    Hub: made(Hub, st.lists(IDS, min_size=1, max_size=4, unique=True).map(tuple)),
    MsMouse: made(MsMouse),
    Mux: made(Mux, IDS),
    Null: made(Null),
    Parallel: made(Parallel, TRICKY),
    Pipe: made(Pipe, TRICKY),
    Pty: made(Pty, path=st.none() | TRICKY),
    QemuVdagent: made(QemuVdagent, mouse=BOOLS, clipboard=BOOLS),
    RingBuf: made(RingBuf, size=st.integers(0, 30).map(lambda bit: 1 << bit)),
    Serial: made(Serial, TRICKY),
    SpicePort: made(SpicePort, TRICKY),
    SpiceVmc: made(SpiceVmc, TRICKY),
    Stdio: made(Stdio, signal=BOOLS),
    QemuTestDev: made(QemuTestDev),
    Udp: made(Udp, FAR, st.none() | NEAR),
    Vc: st.one_of(made(Vc, **size) for size in SIZES),
    WcTablet: made(WcTablet),
}
ON_COMMAND_LINE = st.one_of(*OTHERS.values(), sockets(qmp=False))
IN_QMP = st.one_of(*OTHERS.values(), sockets(qmp=True)).map(lambda each: dataclasses.replace(each, mux=False))


def test_every_kind_is_drawn():
    assert {*OTHERS, Socket} == {*KINDS.values()}


@given(IDS, ON_COMMAND_LINE)
@settings(max_examples=300)
def test_options_are_read_back(chardev_id, chardev):
    assert parse_option(chardev.to_option(chardev_id, NEW)) == (chardev_id, chardev)


@given(IDS, IN_QMP)
@settings(max_examples=300)
def test_qmp_arguments_are_read_back(chardev_id, chardev):
    sent = json.loads(json.dumps(chardev.to_qmp(chardev_id, NEW)))
    assert from_qmp(sent) == (chardev_id, chardev)


@given(sockets(qmp=False))
@settings(max_examples=150)
def test_an_older_qemu_is_told_of_seconds(chardev):
    try:
        option = chardev.to_option("x", OLD)
    except UsageError as error:
        assert chardev.reconnect_ms % 1000
        assert error.hint
        return
    assert "reconnect-ms" not in option
    assert parse_option(option) == ("x", chardev)


def as_qemu_reads_options(text):
    """Give the socket that the command line makes, told as a complete `data` of QMP (qemu: char-socket.c)."""
    pieces = text.replace(",,", "\0").split(",")[2:]
    options = dict(piece.replace("\0", ",").split("=", 1) for piece in pieces)
    truths = {name: value == "on" for name, value in options.items() if value in ("on", "off")}
    if "path" in options:
        data = {
            "path": options["path"],
            "abstract": truths.get("abstract", False),
            "tight": truths.get("tight", True),
        }
        addr = {"type": "unix", "data": data}
    elif "host" in options:
        data = {"host": options["host"], "port": options["port"]}
        data |= {name: truths[name] for name in ("ipv4", "ipv6") if name in truths}
        data |= {"to": int(options["to"])} if "to" in options else {}
        addr = {"type": "inet", "data": data}
    else:
        addr = {"type": "fd", "data": {"str": options["fd"]}}
    server = truths.get("server", False)
    return {
        "addr": addr,
        "server": server,
        "wait": server and truths.get("wait", True),
        **{
            name: truths.get(name, False)
            for name in ("telnet", "tn3270", "websocket", "nodelay", "logappend")
        },
        "reconnect-ms": int(options.get("reconnect-ms", 0)),
        **{name: options.get(name) for name in ("tls-creds", "tls-authz", "logfile")},
    }


def as_qemu_reads_members(data):
    """Give the same of QMP's `data`, its defaults filled in (qemu: qapi/char.json)."""
    addr = dict(data["addr"])
    if addr["type"] == "unix":
        addr["data"] = {"abstract": False, "tight": True} | addr["data"]
    names = ("wait", "telnet", "tn3270", "websocket", "nodelay", "logappend")
    defaults = dict.fromkeys(names, False) | dict.fromkeys(("tls-creds", "tls-authz", "logfile"))
    return defaults | {"server": True, "reconnect-ms": 0} | data | {"addr": addr}


@given(sockets(qmp=False).map(lambda each: dataclasses.replace(each, mux=False)))
@settings(max_examples=225)
def test_a_socket_means_the_same_both_ways(chardev):
    # Texts that look like truth values would need a type for each option of the model.
    if {chardev.logfile, getattr(chardev.address, "path", ""), getattr(chardev.address, "host", "")} & {
        "on",
        "off",
    }:
        reject()
    data = chardev.to_qmp("x", NEW)["backend"]["data"]
    assert as_qemu_reads_options(chardev.to_option("x", NEW)) == as_qemu_reads_members(data)


JSON = st.recursive(
    st.none() | BOOLS | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["addr", "data", "type", "x"]), inner)
    ),
    max_leaves=8,
)
MEMBERS = st.sampled_from(
    [
        "addr",
        "out",
        "in",
        "append",
        "size",
        "device",
        "server",
        "width",
        "chardevs",
        "remote",
        "local",
        "reconnect",
        "x",
    ]
)


@given(st.sampled_from([*KINDS, "memory", "tty", "x"]), st.dictionaries(MEMBERS, JSON, max_size=4))
@settings(max_examples=225)
def test_any_member_is_read_or_refused(kind, data):
    try:
        chardev_id, chardev = from_qmp({"id": "a", "backend": {"type": kind, "data": data}})
    except UsageError as error:
        assert error.reason
    else:
        assert from_qmp(chardev.to_qmp(chardev_id, NEW)) == (chardev_id, chardev)


@given(JSON)
@settings(max_examples=40)
def test_what_are_no_arguments_is_refused(arguments):
    with pytest.raises(UsageError):
        from_qmp(arguments)


WORDS = st.sampled_from(
    [
        "socket",
        "null",
        "udp",
        "id=a",
        "path=",
        "path=/x",
        "host=",
        "port=1",
        "port=x:y",
        "fd=3",
        "fd=3x",
        "no",
    ]
) | st.sampled_from(
    [
        "server",
        "nowait",
        "nodelay",
        "delay=on",
        "size=1k",
        "size=0x",
        "chardevs.0=a",
        "reconnect=1",
        "to=07",
        "=",
    ]
)
LINES = st.lists(WORDS, max_size=6).map(",".join) | st.text(",=:/@aon1\0\udc80", max_size=12)


@given(st.sampled_from(["", "socket,id=a,", "vc,id=a,", "unix:", "tcp:", "udp:", "mon:", "vc:"]), LINES)
@settings(max_examples=300)
def test_any_text_is_read_or_refused(start, rest):
    for parse in (parse_option, parse_compat):
        try:
            parse(start + rest)
        except UsageError as error:
            assert error.reason
