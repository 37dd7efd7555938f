"""A channel's device, played by a pty: raw from its opening on, and joined to other descriptors."""

import os
import select
import socket
import termios
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from xenwire.errors import Conflict, Denied, NotFound, Unreachable
from xenwire.guest.device import Device
from xenwire.guest.join import join

EVERY_BYTE = bytes(range(256))


@pytest.fixture
def pty():
    """The host's end of a terminal that nobody has open, and its path: cooked, as /dev/hvcK is."""
    controller, terminal = os.openpty()
    path = Path(os.ttyname(terminal))
    os.close(terminal)
    yield controller, path
    os.close(controller)


def read_exactly(fd, count, deadline=10):
    data = b""
    while len(data) < count:
        assert select.select([fd], [], [], deadline)[0], f"only {len(data)} bytes came"
        data += os.read(fd, count - len(data))
    return data


@contextmanager
def joined(device, *, stay=False):
    """Join a device to pipes in a thread; gives a user's ends of them. A failure is raised at the end."""
    source, write = os.pipe()
    read, sink = os.pipe()
    failures = []

    def work():
        try:
            join(device, source, sink, stay=stay)
        except BaseException as error:
            failures.append(error)
        os.close(sink)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        with os.fdopen(write, "wb", buffering=0) as keys, os.fdopen(read, "rb", buffering=0) as output:
            yield keys, output
    finally:
        thread.join(10)
        os.close(source)
        assert not thread.is_alive()
        if failures:
            raise failures[0]


def test_raw_at_once(pty, monkeypatch):
    path = pty[1]
    calls = []
    for name in ("tcgetattr", "tcsetattr"):
        real = getattr(termios, name)
        monkeypatch.setattr(termios, name, lambda *a, n=name, r=real: (calls.append((n, *a[1:2])), r(*a))[1])
    with Device(path) as device:
        assert calls == [("tcgetattr",), ("tcsetattr", termios.TCSANOW)]
        iflag, oflag, cflag, lflag, *_, cc = termios.tcgetattr(device)
        assert (iflag, oflag, lflag) == (0, 0, 0)
        assert cflag & termios.CSIZE == termios.CS8 and not cflag & termios.PARENB
        assert (cc[termios.VMIN], cc[termios.VTIME]) == (1, 0)
        assert device.is_terminal and not os.get_blocking(device.fileno())


def test_no_echo_and_every_byte(pty):
    controller, path = pty
    with Device(path) as device:
        os.write(controller, EVERY_BYTE)
        assert read_exactly(device.fileno(), 256) == EVERY_BYTE
        assert device.read(10) is None
        device.write(EVERY_BYTE)
        assert read_exactly(controller, 256) == EVERY_BYTE
        assert not select.select([controller], [], [], 0)[0]


def test_what_waits_before_it_is_opened_is_kept(pty):
    """A line, and no end of one. Raw mode is set without a flush. Who holds it open plays the kernel."""
    controller, path = pty
    kernel = os.open(path, os.O_RDWR | os.O_NOCTTY)
    os.write(controller, b"a line\nand the beginning of ano")
    assert read_exactly(controller, 32)  # it is still cooked: it gives back what comes
    with Device(path) as device:
        os.write(controller, b"ther\r\x03\x04\n")
        assert read_exactly(device.fileno(), 39) == b"a line\nand the beginning of another\r\x03\x04\n"
        assert not select.select([controller], [], [], 0)[0]
    os.close(kernel)


def test_the_whole_of_a_cooked_line_discipline_is_undone(pty):
    """Whatever an earlier program has set."""
    modes = termios.tcgetattr(pty[0])
    modes[0] |= termios.INLCR | termios.IGNCR | termios.ISTRIP | termios.PARMRK | termios.IXOFF
    termios.tcsetattr(pty[0], termios.TCSANOW, modes)
    test_no_echo_and_every_byte(pty)


def test_a_second_opener_is_refused(pty):
    with Device(pty[1]), pytest.raises(Conflict, match="another program"):
        Device(pty[1])
    with Device(pty[1]):
        pass


def test_what_cannot_be_opened(tmp_path, monkeypatch):
    with pytest.raises(NotFound, match="does not exist"):
        Device(tmp_path / "none")
    for number, group in ((19, NotFound), (6, NotFound), (16, Conflict), (13, Denied)):

        def refuse(*_, number=number):
            raise OSError(number, os.strerror(number))

        with monkeypatch.context() as patch, pytest.raises(group, match="cannot open /dev/hvc3"):
            patch.setattr(os, "open", refuse)
            Device(Path("/dev/hvc3"))


def test_joined_both_ways_to_the_end_of_input(pty):
    controller, path = pty
    with Device(path) as device, joined(device) as (keys, output):
        keys.write(EVERY_BYTE)
        assert read_exactly(controller, 256) == EVERY_BYTE
        os.write(controller, EVERY_BYTE)
        assert read_exactly(output.fileno(), 256) == EVERY_BYTE
        keys.close()
        assert output.read() == b""


def test_all_input_is_sent_before_the_end(pty):
    controller, path = pty
    data = EVERY_BYTE * 256
    with Device(path) as device, joined(device) as (keys, _):
        writer = threading.Thread(target=lambda: (keys.write(data), keys.close()))
        writer.start()
        assert read_exactly(controller, len(data)) == data
        writer.join()


def test_slow_reader_holds_the_host_back(pty):
    controller, path = pty
    data = EVERY_BYTE * 512
    with Device(path) as device, joined(device, stay=True) as (keys, output):
        keys.close()
        writer = threading.Thread(target=os.write, args=(controller, data))
        writer.start()
        assert read_exactly(output.fileno(), len(data)) == data
        writer.join()
        hang_up(controller)


def hang_up(controller):
    """Close the host's end of a pty: the fixture gets something else to close."""
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), controller)


def test_the_end_of_the_channel_ends_it(pty):
    controller, path = pty
    with Device(path) as device, joined(device) as (_, output):
        os.write(controller, b"last words")
        assert read_exactly(output.fileno(), 10) == b"last words"
        hang_up(controller)
        assert output.read() == b""


def test_what_was_not_sent_is_told(pty):
    controller, path = pty
    gone = pytest.raises(Unreachable, match="were not sent")
    with Device(path) as device, gone, joined(device) as (keys, output):
        # More than the terminal holds, so that some waits.
        keys.write(bytes(20000))
        keys.write(bytes(20000))
        hang_up(controller)
        output.read()


def test_nobody_reads_the_output(pty):
    controller, path = pty
    with Device(path) as device, pytest.raises(BrokenPipeError), joined(device) as (_, output):
        output.close()
        os.write(controller, b"x")


class Port(Device):
    """A virtio port, played by a socket. With nobody at the host's end it reads as ended, takes nothing."""

    is_terminal = False

    def __init__(self, fd):
        self._fd = fd
        self.host = self.there = True
        self.looks = 0

    def read(self, limit):
        return super().read(limit) if self.host else b""

    def write(self, data):
        return super().write(data) if self.host else 0

    def is_there(self):
        self.looks += 1
        if self.looks == 2:
            self.host = True  # somebody has come
        return self.there


def test_a_port_waits_for_a_peer_at_the_host(monkeypatch):
    monkeypatch.setattr("xenwire.guest.join._AWAY", 1)
    ours, host = socket.socketpair()
    ours.setblocking(False)
    with ours, host:
        port = Port(ours.fileno())
        port.host = False
        host.sendall(b"x")  # poll says that it can be read
        with joined(port) as (keys, output):
            assert read_exactly(output.fileno(), 1) == b"x"
            keys.write(b"hello")
            assert host.recv(5) == b"hello"
        assert port.looks == 2


def test_a_port_that_goes_ends_it(monkeypatch):
    ours, host = socket.socketpair()
    ours.setblocking(False)
    with ours:
        port = Port(ours.fileno())
        assert port.has_peer()
        port.there = False
        with joined(port, stay=True) as (_, output):
            host.close()
            assert output.read() == b""
        assert not port.has_peer()


def test_the_same_descriptor_for_both(pty):
    controller, path = pty
    user, ours = socket.socketpair()
    with Device(path) as device, user, ours:
        thread = threading.Thread(target=join, args=(device, ours.fileno(), ours.fileno()))
        thread.start()
        user.sendall(EVERY_BYTE)
        assert read_exactly(controller, 256) == EVERY_BYTE
        os.write(controller, EVERY_BYTE)
        assert read_exactly(user.fileno(), 256) == EVERY_BYTE
        user.shutdown(socket.SHUT_WR)
        thread.join(10)
        assert not thread.is_alive()


def test_files_and_nothing_as_input(pty, tmp_path):
    controller, path = pty
    (tmp_path / "in").write_bytes(EVERY_BYTE)
    with (
        (tmp_path / "in").open("rb") as source,
        (tmp_path / "out").open("wb") as sink,
        Device(path) as device,
    ):
        thread = threading.Thread(target=join, args=(device, source.fileno(), sink.fileno()))
        thread.start()
        assert read_exactly(controller, 256) == EVERY_BYTE
        thread.join(10)
        assert not thread.is_alive()
