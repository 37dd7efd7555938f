"""`xenwire store …` against the real daemon, and its texts against Xen's rules."""

import json
import signal
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xenstore_daemon import Daemon

from xenwire.cli import run
from xenwire.runtime.daemon import xenwire_command
from xenwire.runtime.places import store_socket
from xenwire.xenstore.text import escape, unescape


@pytest.fixture
def xenwire(capfdbinary):
    """Run `xenwire store`; gives its status, output and errors."""

    def xenwire(*arguments):
        status = run(["store", *arguments])
        out, err = capfdbinary.readouterr()
        return status, out.decode(errors="surrogateescape"), err.decode()

    with Daemon(store_socket()):
        yield xenwire


def test_write_read_list_ls(xenwire):
    assert xenwire("write", "/d/a", r"1\n\x00", "/d/b/c", "é") == (0, "", "")
    assert xenwire("read", "/d/a", "/d/b/c") == (0, "1\\n\\000\n\\xc3\\xa9\n", "")
    assert xenwire("read", "--raw", "/d/a") == (0, "1\n\0", "")
    assert xenwire("list", "/d") == (0, "a\nb\n", "")
    assert xenwire("ls", "/d", "-o", "name") == (0, "/d\n/d/a\n/d/b\n/d/b/c\n", "")
    assert xenwire("ls", "/d/b") == (0, "PATH    VALUE\n/d/b\n/d/b/c  \\xc3\\xa9\n", "")
    assert json.loads(xenwire("ls", "/d/a", "--json")[1]) == [
        {"path": "/d/a", "value": "1\\n\\000", "perms": ["n0"]}
    ]
    assert xenwire("write", "--raw", "/d/a", r"\n") == (0, "", "")
    assert xenwire("read", "/d/a") == (0, "\\\\n\n", "")


def test_exists_and_rm(xenwire):
    xenwire("write", "/d/a", "")
    assert xenwire("exists", "/d/a") == (0, "", "")
    assert xenwire("rm", "/d/a", "/d") == (0, "", "")
    assert xenwire("exists", "/d") == (3, "", "")


def test_chmod(xenwire):
    xenwire("write", "/d/a", "")
    assert xenwire("chmod", "-r", "/d", "n0", "r5") == (0, "", "")
    assert (
        xenwire("ls", "/d", "-o", "wide")[1] == "PATH  VALUE  PERMS\n/d           n0,r5\n/d/a         n0,r5\n"
    )
    assert xenwire("chmod", "/d/a", "b5") == (0, "", "")
    assert [node["perms"] for node in json.loads(xenwire("ls", "/d", "--json")[1])] == [["n0", "r5"], ["b5"]]


def test_watch(xenwire):
    assert xenwire("watch", "-n", "1", "/d") == (0, "/d\n", "")
    status, out, err = xenwire("watch", "--timeout", "10ms", "/d")
    assert (status, out) == (5, "/d\n")
    assert "nothing happened at /d" in err


def test_watch_prints_changes_as_they_come_until_interrupted(xenwire):
    command = xenwire_command("store", "watch", "/d")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "/d\n"
        xenwire("write", "/d/a", "1")
        assert process.stdout.readline() == "/d/a\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=10) == ("", "xenwire: interrupted\n")
    assert process.returncode == 130


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["read", "/none"], 3, "cannot read /none"),
        (["read", "no path"], 2, "not a store path"),
        (["write", "/a"], 2, "no value for /a"),
        (["chmod", "/", "x0"], 2, "not a permission"),
        (["rm", "/"], 2, "cannot remove /"),
        (["list", "/none"], 3, "cannot list /none"),
        (["ls", "/", "--socket", "/nowhere"], 7, "no store was found"),
    ],
)
def test_errors(xenwire, arguments, status, message):
    got, out, err = xenwire(*arguments)
    assert (got, out) == (status, "")
    assert err.startswith(f"xenwire: {message}")


def test_socket_of_the_environment_comes_first(xenwire, short_tmp, monkeypatch):
    with Daemon(short_tmp / "other"):
        monkeypatch.setenv("XENSTORED_PATH", str(short_tmp / "other"))
        xenwire("write", "/only-here", "")
        monkeypatch.delenv("XENSTORED_PATH")
    assert xenwire("exists", "/only-here")[0] == 3


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"plain ~", "plain ~"),
        (b"\t\n\r\\", r"\t\n\r\\"),
        (b"\x00\x07\x08\x1f\x7f\xff", r"\000\007\x08\x1f\x7f\xff"),
    ],
)
def test_escapes(value, text):
    assert escape(value) == text
    assert unescape(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [(r"\x1g", b"\x01g"), (r"\1", b"\x01"), (r"\18", b"\x018"), (r"\q\x", b"qx"), ("\\", b"\\")],
)
def test_loose_escapes(text, value):
    assert unescape(text) == value


@settings(max_examples=200)
@given(st.binary(max_size=40))
def test_every_value_survives_its_text(value):
    text = escape(value)
    assert text.isascii()
    assert text.isprintable()
    assert unescape(text) == value
