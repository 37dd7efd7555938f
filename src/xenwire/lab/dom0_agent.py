"""The agent in a lab's dom0: runs what the host asks for. See frames.py for the protocol.

It is a program, not a module of the package: `python3 -S dom0_agent.py`, with frames.py beside it, Python
3.11 or newer and nothing else. It serves all virtio-serial ports whose name begins with `org.xenwire.lab.`,
each of them one session after another, and never ends. PATH, HOME, the working folder and the rest of a
command's surroundings are the agent's own, plus what EXEC says. It is one thread around epoll, for Python is
slow under emulation: a few system calls a frame.

What Linux's virtio_console does with ports, and what follows:

* While nobody is at the host's end, a port polls as readable and hung up, reads give end-of-file at once and
  writes would block. Watched for its level, an idle port would spin; so ports are watched for edges: each
  change at the host's end, and each arrival, wakes once.
* What happens at the host's end and what comes from there arrive on ways of their own. Of two clients in
  quick succession, the second one's bytes may come before the first one's end-of-file, or there may be none.
  So it is the sync that begins a session, and end-of-file ends one only if it lasts (a second).
* A read gives at most a page, a write takes at most 32 KiB.
* Ports get their names after they have appeared, with a uevent.
* A port's device can be opened once at a time, and closing it throws away what was not read: it stays open.

A command runs in a session and process group of its own. When its client has gone, or says END, the group
gets SIGTERM, SIGHUP and SIGCONT, and SIGKILL after `kill_after` seconds; what has left the group (a daemon)
stays. EXIT is sent when the command itself has ended and its output has been sent. Where others still hold
its output open (daemons that it has started), the agent waits 0.1 s for the rest, sends what has come by
then, and closes.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import fcntl
import functools
import heapq
import itertools
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

if TYPE_CHECKING:
    from xenwire.lab import frames
else:
    import frames

_PORTS: Final = Path("/sys/class/virtio-ports")
_PORT_PREFIX: Final = "org.xenwire.lab."
_NETLINK_KOBJECT_UEVENT: Final = 15  # linux/netlink.h
_KERNEL_GROUP: Final = 1

_CHUNK: Final = 1 << 16
_MAX_UNSENT: Final = 1 << 20
"""Bytes of answers that wait for the client to read before the agent reads no more requests."""
_LINGER: Final = 0.1
"""Seconds after a command's end that its output may still come, where others hold it open."""

_ABSENCE: Final = 1.0
"""Seconds that a virtio-serial port's client has to be away before its command is ended."""

_PORT_EVENTS: Final = select.EPOLLIN | select.EPOLLOUT | select.EPOLLET


class Loop:
    """Calls what waits for descriptors and for points in time.

    A descriptor's number may be another's by the time its event is handled, so handlers stand a false alarm.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def watch(self, fd: int, events: int, handler: Callable[[int], None]) -> None:
        """Call `handler` with what epoll tells of `fd`."""
        self._epoll.register(fd, events)
        self._handlers[fd] = handler

    def rearm(self, fd: int, events: int) -> None:
        """Have an edge reported again if its cause is still there."""
        self._epoll.modify(fd, events)

    def unwatch(self, fd: int) -> None:
        """Watch it no more, if it was watched; before it is closed."""
        if self._handlers.pop(fd, None):
            self._epoll.unregister(fd)

    def call_after(self, seconds: float, action: Callable[[], None]) -> None:
        """Call `action` once, by the clock that nobody sets."""
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), action))

    def run(self) -> None:
        """Run for ever."""
        while True:
            timeout = max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None
            for fd, events in self._epoll.poll(timeout):
                handler = self._handlers.get(fd)
                if handler is not None:
                    handler(events)
            while self._timers and self._timers[0][0] <= time.monotonic():
                heapq.heappop(self._timers)[2]()


class Port:
    """A stream to the host. `closed` is called when it has come to its end for good."""

    def __init__(self, loop: Loop, fd: int, *, reopens: bool, closed: Callable[[], None]) -> None:
        """Serve `fd`. `reopens`: after end-of-file another client may come."""
        self._loop = loop
        self._fd = fd
        self._reopens = reopens
        self._closed = closed
        self._decoder = frames.Decoder()
        self._in_step = False
        self._arrivals = 0
        self._unsent = bytearray()
        self._deaf = False
        self._process: Process | None = None
        loop.watch(fd, _PORT_EVENTS, self._ready)

    @property
    def congested(self) -> bool:
        """Whether the client has to read before more output is of use."""
        return bool(self._unsent)

    def send(self, frame: bytes) -> None:
        """Send a frame, now or when the client takes it."""
        self._unsent += frame
        self._flush()

    def ended(self) -> None:
        """Take note that the process has sent its EXIT."""
        self._process = None

    def _ready(self, events: int) -> None:
        if events & select.EPOLLOUT and self._unsent:
            self._flush()
        if events & ~select.EPOLLOUT:
            self._receive()

    def _flush(self) -> None:
        while self._unsent:
            try:
                count = os.write(self._fd, self._unsent)
            except BlockingIOError:
                return
            except OSError:  # reading tells the same, and why
                self._unsent.clear()
                return
            del self._unsent[:count]
        if self._deaf:
            self._deaf = False
            self._loop.rearm(self._fd, _PORT_EVENTS)
        if self._process is not None:
            self._process.resume()

    def _receive(self) -> None:
        if len(self._unsent) > _MAX_UNSENT:
            self._deaf = True
            return
        data, ended, lost = b"", False, False
        while len(data) < _CHUNK and not ended:
            try:
                part = os.read(self._fd, _CHUNK)
            except BlockingIOError:
                break
            except OSError:
                part, lost = b"", True
            ended = not part
            data += part
        else:
            if not ended:
                self._loop.rearm(self._fd, _PORT_EVENTS)  # others have their turn before the rest
        if data:
            self._arrivals += 1
            for item in self._decoder.feed(data):
                self._handle(item)
        if lost or (ended and not self._reopens):
            self._close()
        elif ended:
            self._loop.call_after(_ABSENCE, functools.partial(self._check_absence, self._arrivals))

    def _close(self) -> None:
        self._end_session()
        self._loop.unwatch(self._fd)
        os.close(self._fd)
        self._fd = -1
        self._closed()

    def _check_absence(self, arrivals: int) -> None:
        """End the session if the client is still away, and was not heard of since `arrivals`."""
        if arrivals == self._arrivals and self._fd >= 0 and _hung_up(self._fd):
            self._end_session()

    def _end_session(self) -> None:
        self._in_step = False
        self._unsent.clear()
        if self._process is not None:
            self._process.abandon()
            self._process = None

    def _handle(self, item: frames.Item) -> None:
        match item:
            case frames.Sync(nonce):
                self._end_session()
                self._in_step = True
                self.send(frames.MARKER + nonce)
            case frames.Broken(reason):
                self._give_up(reason)
            case frames.Frame(kind, payload) if self._in_step:
                try:
                    self._obey(kind, payload)
                except ValueError as error:
                    self._give_up(f"{kind.name}: {error}")

    def _give_up(self, reason: str) -> None:
        """The client does not keep to the protocol: it has to begin anew."""
        self._end_session()
        self.send(frames.Refusal(errno.EPROTO, reason).encode())

    def _obey(self, kind: frames.Kind, payload: bytes) -> None:
        process = self._process
        match kind:
            case frames.Kind.EXEC:
                if process is not None:
                    raise ValueError("a command is running")
                self._start(frames.Command.parse(payload))
            case frames.Kind.SET_CLOCK:
                (nanoseconds,) = frames.numbers(payload, 1)
                try:
                    time.clock_settime_ns(time.CLOCK_REALTIME, nanoseconds)
                except OSError as error:
                    self._refuse(error)
                else:
                    self.send(frames.encode(frames.Kind.CLOCK_SET))
            case _ if process is None:  # it ended while this was under way
                pass
            case frames.Kind.STDIN:
                process.write(payload)
            case frames.Kind.STDIN_EOF:
                process.write_eof()
            case frames.Kind.SIGNAL:
                process.signal(*frames.numbers(payload, 1))
            case frames.Kind.RESIZE:
                process.resize(*frames.numbers(payload, 2))
            case frames.Kind.END:
                process.end()
            case _:
                raise ValueError("this is for the agent to say")

    def _start(self, command: frames.Command) -> None:
        try:
            self._process = Process(self._loop, self, command)
        except OSError as error:
            self._refuse(error)
        except ValueError as error:  # such as a variable's name that has a =
            self.send(frames.Refusal(errno.EINVAL, ascii(str(error))).encode())

    def _refuse(self, error: OSError) -> None:
        what = f"{os.fsdecode(error.filename)}: " if error.filename else ""
        text = f"{what}{error.strerror}".encode(errors="replace").decode()
        self.send(frames.Refusal(error.errno or 0, text).encode())


def _hung_up(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, 0)
    return any(events & select.POLLHUP for _, events in poll.poll(0))


class Process:
    """A command, from its start until its EXIT has been sent, or its client has gone."""

    def __init__(self, loop: Loop, port: Port, command: frames.Command) -> None:
        """Start it. Raises OSError, ValueError."""
        self._loop = loop
        self._port = port
        self._kill_after = command.kill_after
        self._tty = command.tty is not None
        start = _start_on_tty if command.tty else _start_on_pipes
        self._child, self._stdin, outputs = start(command)
        self._outputs: dict[int, Output] = {}
        self._input = bytearray()
        self._input_over = False
        self._waits_to_write = False
        self._room = 0
        self._status: int | None = None
        self._ending = False
        self._reported = False
        self._pidfd = os.pidfd_open(self._child.pid)
        loop.watch(self._pidfd, select.EPOLLIN, self._exited)
        for kind, file in outputs:
            os.set_blocking(file.fileno(), False)
            self._outputs[file.fileno()] = Output(kind, file)
        if self._stdin is not None:
            os.set_blocking(self._stdin.fileno(), False)
        self.resume()

    # Output

    def resume(self) -> None:
        """Read output, for the client has taken what there was."""
        for fd, output in self._outputs.items():
            if not output.watched:
                output.watched = True
                self._loop.watch(fd, select.EPOLLIN, functools.partial(self._read, output))

    def _pause(self) -> None:
        for fd, output in self._outputs.items():
            if output.watched:
                output.watched = False
                self._loop.unwatch(fd)

    def _read(self, output: Output, _events: int) -> None:
        try:
            data = os.read(output.file.fileno(), min(frames.MAX_PAYLOAD, output.left))
        except BlockingIOError:
            return
        except OSError:  # EIO: nobody has the terminal open any more
            data = b""
        output.left -= len(data)
        if data:
            self._port.send(frames.encode_data(output.kind, data))
        if not data or not output.left:
            self._close_output(output)
            self._finish_if_done()
        elif self._port.congested:
            self._pause()

    def _close_output(self, output: Output) -> None:
        fd = output.file.fileno()
        self._loop.unwatch(fd)
        del self._outputs[fd]
        output.file.close()

    # Input

    def write(self, data: bytes) -> None:
        """Pass bytes on. Raises ValueError if there is no room for them."""
        if self._stdin is None:
            self._grant(len(data))
        elif len(self._input) + len(data) > frames.WINDOW:
            raise ValueError("more than there is room for")
        else:
            self._input += data
            self._feed()

    def write_eof(self) -> None:
        """Close its input once it has all. A terminal gets its end-of-file character: twice, as the first
        one only ends the line where one has begun.
        """
        if self._tty and not self._input_over:
            self._input += b"\x04\x04"
        self._input_over = True
        self._feed()

    def _feed(self, _events: int = 0) -> None:
        if self._stdin is None:
            return
        fd = self._stdin.fileno()
        while self._input:
            try:
                count = os.write(fd, self._input)
            except BlockingIOError:
                if not self._waits_to_write:
                    self._waits_to_write = True
                    self._loop.watch(fd, select.EPOLLOUT, self._feed)
                return
            except OSError:  # it does not want any more
                self._close_input()
                return
            del self._input[:count]
            self._grant(count)
        if self._waits_to_write:
            self._waits_to_write = False
            self._loop.unwatch(fd)
        if self._input_over and not self._tty:
            self._close_input()

    def _grant(self, count: int) -> None:
        self._room += count
        if self._room >= frames.WINDOW // 4:
            self._port.send(frames.encode_numbers(frames.Kind.STDIN_ROOM, self._room))
            self._room = 0

    def _close_input(self) -> None:
        if self._stdin is not None:
            self._loop.unwatch(self._stdin.fileno())
            self._stdin.close()
            self._stdin = None
            left = len(self._input)
            self._input.clear()
            self._grant(left)

    def resize(self, rows: int, cols: int) -> None:
        """Set its terminal's size. Raises ValueError if that is none."""
        if self._tty and self._stdin is not None:
            _set_size(self._stdin.fileno(), rows, cols)

    # Its end

    def signal(self, number: int) -> None:
        """Send a signal to its process group, unless it has ended."""
        if self._status is None:
            self._signal_group(number)

    def end(self) -> None:
        """Ask the group to end, and kill it after a grace."""
        if self._status is None and not self._ending:
            self._ending = True
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCONT):
                self._signal_group(number)
            self._loop.call_after(self._kill_after, self._kill)

    def abandon(self) -> None:
        """End it. Nobody is there any more to take its output, nor to hear how it ended."""
        self._reported = True
        self.end()
        self._close_files()

    def _signal_group(self, number: int) -> None:
        # Its number is not another's, for the child has not been reaped.
        with contextlib.suppress(OSError, OverflowError):
            os.killpg(self._child.pid, number)

    def _kill(self) -> None:
        self._signal_group(signal.SIGKILL)
        self._ending = False
        if self._status is not None:
            self._child.wait()

    def _exited(self, _events: int) -> None:
        ended = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is None:
            return
        self._loop.unwatch(self._pidfd)
        os.close(self._pidfd)
        self._status = ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
        if not self._ending:  # else its number has to stay its own until what is left of the group is killed
            self._child.wait()
        if self._outputs:
            self._loop.call_after(_LINGER, self._stop_lingering)
        self._finish_if_done()

    def _stop_lingering(self) -> None:
        """Take what output is there by now, and no more."""
        for output in list(self._outputs.values()):
            output.left = _readable(output.file.fileno())
            if not output.left:
                self._close_output(output)
        self._finish_if_done()

    def _finish_if_done(self) -> None:
        if self._status is not None and not self._outputs and not self._reported:
            self._reported = True
            self._close_files()
            self._port.send(frames.encode_numbers(frames.Kind.EXIT, self._status))
            self._port.ended()

    def _close_files(self) -> None:
        for output in list(self._outputs.values()):
            self._close_output(output)
        if self._stdin is not None:
            self._loop.unwatch(self._stdin.fileno())
            self._stdin.close()
            self._stdin = None


class Output:
    """A stream of a command's output."""

    def __init__(self, kind: frames.Kind, file: IO[bytes]) -> None:
        self.kind = kind
        self.file = file
        self.watched = False
        self.left = sys.maxsize
        """Bytes that are still wanted."""


_Started = tuple[subprocess.Popen[bytes], IO[bytes] | None, list[tuple[frames.Kind, IO[bytes]]]]
"""The child, its input, its outputs."""


def _start_on_pipes(command: frames.Command) -> _Started:
    child = subprocess.Popen(
        command.argv,
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=command.cwd,
        env={**os.environ, **command.env},
        start_new_session=True,
    )
    assert child.stdout is not None
    assert child.stderr is not None
    return child, child.stdin, [(frames.Kind.STDOUT, child.stdout), (frames.Kind.STDERR, child.stderr)]


def _start_on_tty(command: frames.Command) -> _Started:
    assert command.tty is not None
    ours, theirs = os.openpty()
    with contextlib.ExitStack() as stack:
        output = stack.enter_context(open(ours, "rb", buffering=0))  # noqa: PTH123 - a descriptor has no path
        stack.callback(os.close, theirs)
        _set_size(theirs, command.tty.rows, command.tty.cols)
        child = subprocess.Popen(
            command.argv,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=command.cwd,
            env={**os.environ, "TERM": command.tty.term, **command.env},
            start_new_session=True,
            # Safe, as there is one thread.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        stack.pop_all()
    os.close(theirs)
    # The other descriptor is there because epoll watches one for one purpose.
    return child, open(os.dup(ours), "wb", buffering=0), [(frames.Kind.STDOUT, output)]  # noqa: PTH123


def _set_size(fd: int, rows: int, cols: int) -> None:
    if not (0 <= rows <= 0xFFFF and 0 <= cols <= 0xFFFF):
        raise ValueError(f"no terminal has {rows} rows of {cols} characters")
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))


def _readable(fd: int) -> int:
    """Give how many bytes can be read at once."""
    (count,) = struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, bytes(4)))
    return int(count)


class VirtioPorts:
    """Finds the lab's ports, those there are and those to come."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._open: set[str] = set()
        self._events = socket.socket(
            socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, _NETLINK_KOBJECT_UEVENT
        )
        self._events.bind((0, _KERNEL_GROUP))
        loop.watch(self._events.fileno(), select.EPOLLIN, self._changed)
        self._find()

    def _changed(self, _events: int) -> None:
        try:
            concerns_us = b"SUBSYSTEM=virtio-ports" in self._events.recv(_CHUNK)
        except OSError:  # ENOBUFS: some were lost
            concerns_us = True
        if concerns_us:
            self._find()

    def _find(self) -> None:
        for entry in _PORTS.glob("*/name"):
            device = entry.parent.name
            if device not in self._open and entry.read_text().startswith(_PORT_PREFIX):
                fd = os.open(f"/dev/{device}", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
                self._open.add(device)
                Port(self._loop, fd, reopens=True, closed=functools.partial(self._open.discard, device))


class Listener:
    """A listening socket in a port's place, which takes one client at a time, as QEMU's do."""

    def __init__(self, loop: Loop, fd: int) -> None:
        self._loop = loop
        self._socket = socket.socket(fileno=fd)
        self._socket.setblocking(False)
        self._listen()

    def _listen(self) -> None:
        self._loop.watch(self._socket.fileno(), select.EPOLLIN, self._accept)

    def _accept(self, _events: int) -> None:
        with contextlib.suppress(OSError):  # the client has gone again
            client = self._socket.accept()[0]
            client.setblocking(False)
            self._loop.unwatch(self._socket.fileno())
            Port(self._loop, client.detach(), reopens=False, closed=self._listen)


def main() -> None:
    """Serve the lab's ports, or the sockets that the command line names."""
    parser = argparse.ArgumentParser(description="The agent in a lab's dom0.")
    parser.add_argument(
        "--listen-fd",
        type=int,
        action="append",
        help="serve this listening socket, inherited, and no virtio port",
    )
    arguments = parser.parse_args()
    loop = Loop()
    if arguments.listen_fd:
        for fd in arguments.listen_fd:
            Listener(loop, fd)
    else:
        VirtioPorts(loop)
    loop.run()


if __name__ == "__main__":
    main()
