import pytest

from xenwire.errors import UsageError
from xenwire.qemu.chardev import (
    FdAddress,
    File,
    Filename,
    Null,
    Pty,
    Socket,
    UnixAddress,
    fdset_path,
    parse_filename,
)


def backend(kind, **data):
    return {"id": "c1", "backend": {"type": kind, "data": data}}


def unix(path):
    return {"type": "unix", "data": {"path": path}}


def fd(name):
    return {"type": "fd", "data": {"str": name}}


@pytest.mark.parametrize(
    ("chardev", "option", "qmp"),
    [
        (Null(), "null,id=c1", backend("null")),
        (Pty(), "pty,id=c1", backend("pty")),
        (
            Socket(UnixAddress("/a,b")),
            "socket,id=c1,path=/a,,b,server=off",
            backend("socket", addr=unix("/a,b"), server=False),
        ),
        (
            Socket(UnixAddress("/a"), server=True),
            "socket,id=c1,path=/a,server=on,wait=off",
            backend("socket", addr=unix("/a"), server=True, wait=False),
        ),
        (
            Socket(UnixAddress("/a"), server=True, wait=True),
            "socket,id=c1,path=/a,server=on,wait=on",
            backend("socket", addr=unix("/a"), server=True, wait=True),
        ),
        (
            Socket(FdAddress(7), server=True),
            "socket,id=c1,fd=7,server=on,wait=off",
            backend("socket", addr=fd("7"), server=True, wait=False),
        ),
        (
            Socket(FdAddress("peer")),
            "socket,id=c1,fd=peer,server=off",
            backend("socket", addr=fd("peer"), server=False),
        ),
        (File("/log"), "file,id=c1,path=/log,append=off", backend("file", out="/log", append=False)),
        (
            File(fdset_path(3), append=True),
            "file,id=c1,path=/dev/fdset/3,append=on",
            backend("file", out="/dev/fdset/3", append=True),
        ),
    ],
    ids=str,
)
def test_both_forms_of_each_kind(chardev, option, qmp):
    assert chardev.to_option("c1") == option
    assert chardev.to_qmp("c1") == qmp


@pytest.mark.parametrize("chardev", [Null(), Pty(), Socket(FdAddress(3)), File("/log")], ids=str)
def test_a_bad_id_is_refused_in_both_forms(chardev):
    for form in (chardev.to_option, chardev.to_qmp):
        with pytest.raises(UsageError, match="not an id"):
            form("a,server=on")


@pytest.mark.parametrize("make", [UnixAddress, File])
@pytest.mark.parametrize("path", ["", "a\0b", "\udc80"])
def test_what_is_no_path_is_refused(make, path):
    with pytest.raises(UsageError, match="not a path"):
        make(path)


def test_a_socket_path_has_at_most_107_bytes():
    assert UnixAddress("é" * 53 + "x").path
    with pytest.raises(UsageError, match="108 bytes") as caught:
        UnixAddress("é" * 54)
    assert caught.value.hint


def test_only_a_server_waits():
    with pytest.raises(UsageError, match="wait"):
        Socket(UnixAddress("/a"), wait=True)


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
