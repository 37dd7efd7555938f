import os
import socket
import termios
import threading
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenwire.cli._terminal import EscapeFilter, join_terminal
from xenwire.errors import XenwireError

HARMLESS = [
    b"plain text\r\n",
    "grüße ☃ ě ☜".encode(),
    b"\x1b[31mred\x1b[0m",
    b"\x1b[1;1H\x1b[2J\x1b[?25l\x1b[K",
    b"\x1b7\x1b8\x1b(B\x1b=\x1bM",
    b"\x08\x07\t",
    b"\x1b[?1049h\x1b[?1;7;25h\x1b[?2J\x1b[4h\x1b[3;7r\x1b[?2026l",
]
DANGEROUS = [
    b"\x1b]0;title\x07",
    b"\x1b]52;c;aGVsbG8=\x1b\\",
    b'\x1bP$q"p\x1b\\',
    b"\x1b_apc\x1b\\",
    b"\x1b^pm\x1b\\",
    b"\x1b[c",
    b"\x1b[>c",
    b"\x1b[6n",
    b"\x1b[5n",
    b"\x1b[21t",
    b"\x1b[?1;2y",
    b"\x1b[4i",
    b"\x05",
    "\x9b6n".encode()[:2],
    "\x9d".encode(),
    b"\x1bZ",
    b"\x1b[>4;2m",
    b"\x1b[>1u",
    b"\x1b[=c",
    b"\x1b[?u",
    b"\x1b[?4m",
    b"\x1b[?1;1;0S",
    b"\x1b[1;1R",
    b"\x1b[1x",
    b"\x1b[>0T",
    b"\x1b[2h",
    b"\x1b[20h",
    b"\x1b[?9h",
    b"\x1b[?1000h",
    b"\x1b[?25;1006h",
    b"\x1b[?1004h",
    b"\x1b[?2004h",
    b"\x1b[?3h",
    b"\x1b[?25$p",
    b"\x1b[!p",
    b"\x1b G",
    b"\x1b%G",
]


@pytest.mark.parametrize("data", HARMLESS)
def test_what_draws_passes(data):
    assert EscapeFilter().feed(data) == data


@pytest.mark.parametrize("data", DANGEROUS)
def test_what_makes_a_terminal_talk_does_not(data):
    assert EscapeFilter().feed(b"a" + data + b"b") == b"ab"


@settings(max_examples=200)
@given(
    st.lists(st.sampled_from(HARMLESS + DANGEROUS + [b"\x1b", b"\x1b[", b"\x1b]x"])),
    st.lists(st.integers(1, 8), min_size=1),
)
def test_splits_make_no_difference(pieces, sizes):
    data, whole, cut = b"".join(pieces), EscapeFilter(), EscapeFilter()
    expected, got, at, turn = whole.feed(data), b"", 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        got += cut.feed(data[at : at + size])
        at, turn = at + size, turn + 1
    assert got == expected


def test_an_endless_sequence_is_not_kept():
    escapes = EscapeFilter()
    for _ in range(1000):
        escapes.feed(b"\x1b]" + b"x" * 1000)
    assert len(escapes._kept) < 10_000


def test_an_escape_breaks_a_string_off():
    assert EscapeFilter().feed(b"\x1b]0;title\x1b[31mred\x1b[6n") == b"\x1b[31mred"


@pytest.fixture
def guest(short_tmp):
    """The listening socket of a guest's console."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(short_tmp / "console"))
        listener.listen()
        listener.settimeout(20)
        yield listener


@pytest.fixture
def user():
    """The two ends of the user's terminal."""
    master, slave = os.openpty()
    with open(slave, "r+b", buffering=0) as stream:
        yield master, stream
    os.close(master)


async def join(monkeypatch, path, stdin, stdout, **options):
    """Join as a command would that has these streams. pytest sets its own before each test."""
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdin", stdin)
        patch.setattr("sys.stdout", stdout)
        patch.setattr("sys.stderr", stdout)
        await join_terminal(Path(path), **options)


@contextmanager
def beside(function, *arguments):
    """Run a function in a thread beside the block."""
    thread = threading.Thread(target=function, args=arguments)
    thread.start()
    yield
    thread.join()


def read_until(fd, text):
    seen = b""
    while text not in seen:
        seen += os.read(fd, 4096)
    return seen


async def test_a_terminal_is_joined_and_left(guest, user, monkeypatch):
    master, terminal = user
    before = termios.tcgetattr(terminal)
    started = []

    async def start():
        started.append(True)

    def talk():
        with guest.accept()[0] as console:
            read_until(master, b"Leave with ^].\r\n")
            console.sendall(b"login:\x1b[6n\n")
            assert b"[6n" not in read_until(master, b"login:\n")
            os.write(master, b"root\r\x1d")
            assert console.recv(64) == b"root\r"

    with beside(talk):
        await join(monkeypatch, guest.getsockname(), terminal, terminal, start=start)
    assert started
    assert termios.tcgetattr(terminal) == before


async def test_a_terminal_that_takes_nothing_holds_the_guest_back_and_can_be_left(guest, user, monkeypatch):
    master, terminal = user
    sent = []

    def flood():
        with guest.accept()[0] as console:
            console.settimeout(0.3)
            with suppress(TimeoutError):
                while True:
                    sent.append(console.send(bytes(65536)))
            os.write(master, b"\x1d")

    with beside(flood):
        await join(monkeypatch, guest.getsockname(), terminal, terminal)
    assert sum(sent) < 2 << 20
    assert os.get_blocking(terminal.fileno())
    read_until(master, bytes(4096))  # the write that was left behind comes to its end


@pytest.fixture
def nothing():
    """Input that has ended."""
    with open(os.devnull) as stream:
        yield stream


async def test_the_guest_may_close_its_socket(guest, user, nothing, monkeypatch):
    master, terminal = user

    def talk():
        with guest.accept()[0] as console:
            console.sendall(b"bye")
            read_until(master, b"bye")

    with beside(talk):
        await join(monkeypatch, guest.getsockname(), nothing, terminal)


async def test_the_guest_may_close_its_terminal(user, nothing, monkeypatch):
    master, terminal = user
    guest, slave = os.openpty()

    def talk():
        os.write(guest, b"bye")
        read_until(master, b"bye")
        os.close(guest)

    with beside(talk):
        await join(monkeypatch, os.ttyname(slave), nothing, terminal)
    os.close(slave)


@pytest.fixture
def out(request, tmp_path):
    """A file to write to."""
    with open(getattr(request, "param", tmp_path / "out"), "wb") as stream:
        yield stream


@pytest.fixture
def hello(guest):
    """A guest that says hello and is gone."""

    def talk():
        with guest.accept()[0] as console:
            console.sendall(b"hello")

    with beside(talk):
        yield guest.getsockname()


async def test_output_to_a_file(hello, nothing, out, monkeypatch):
    await join(monkeypatch, hello, nothing, out)
    assert Path(out.name).read_bytes() == b"hello"


@pytest.mark.parametrize("out", ["/dev/full"], indirect=True)
async def test_output_that_cannot_be_written(hello, nothing, out, monkeypatch):
    with pytest.raises(XenwireError, match="cannot write the output"):
        await join(monkeypatch, hello, nothing, out)
