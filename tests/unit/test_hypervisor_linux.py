"""What Linux's devices for Xen are asked, byte by byte, and what becomes of their refusals.

There is no Xen here: the devices are other files, and `ioctl` is the test's. Numbers and structures are those
of linux: include/uapi/xen/evtchn.h, gntdev.h, gntalloc.h.
"""

import errno
import mmap
import os
import select
import socket
import struct

import pytest

from xenwire.errors import Denied, NotFound, Unreachable, XenwireError
from xenwire.hypervisor.linux import LinuxEventChannels, LinuxGrants

PAGE = mmap.PAGESIZE


def ioc(kind, number, size):
    """Give `_IOC(_IOC_NONE, kind, number, size)` (linux: include/uapi/asm-generic/ioctl.h)."""
    return size << 16 | ord(kind) << 8 | number


class Kernel:
    """Takes calls, answers them as told, and notes them: device, request, argument."""

    def __init__(self):
        self.calls, self.answers, self.devices = [], {}, {}
        self.refused = {}
        self.flags = set()
        self.here, self.there = socket.socketpair(type=socket.SOCK_SEQPACKET)
        self.here.setblocking(False)
        self.memory = os.memfd_create("grants")
        os.truncate(self.memory, 8 * PAGE)

    def open(self, path, flags):
        if path in self.refused:
            raise OSError(self.refused[path], "no", path)
        self.flags.add(flags)
        fd = os.dup(self.here.fileno() if path.endswith("evtchn") else self.memory)
        self.devices[fd] = path.removeprefix("/dev/xen/")
        return fd

    def ioctl(self, fd, request, argument=0, mutate=False):
        self.calls.append((self.devices[fd], request, bytes(argument)))
        answer = self.answers.get(request, 0)
        if isinstance(answer, OSError):
            raise answer
        return answer(argument) if callable(answer) else answer

    def close(self):
        self.here.close()
        self.there.close()
        os.close(self.memory)


@pytest.fixture
def kernel(monkeypatch):
    kernel = Kernel()
    monkeypatch.setattr("xenwire.hypervisor.linux.os.open", kernel.open)
    monkeypatch.setattr("xenwire.hypervisor.linux.fcntl.ioctl", kernel.ioctl)
    yield kernel
    monkeypatch.undo()
    kernel.close()


@pytest.fixture
def events(kernel):
    events = LinuxEventChannels()
    yield events
    events.close()


@pytest.fixture
def grants(kernel):
    grants = LinuxGrants()
    yield grants
    grants.close()


def test_devices_are_opened_once_and_not_inherited(kernel, events, grants):
    assert sorted(kernel.devices.values()) == ["evtchn", "gntdev"]
    assert kernel.flags == {os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC}


@pytest.mark.parametrize(
    ("number", "error", "words"),
    [
        (errno.ENOENT, Unreachable, "is this a domain of Xen"),
        (errno.ENODEV, Unreachable, "is this a domain of Xen"),
        (errno.EACCES, Denied, "run this as root"),
        (errno.EPERM, Denied, "run this as root"),
    ],
)
@pytest.mark.parametrize(("device", "made"), [("evtchn", LinuxEventChannels), ("gntdev", LinuxGrants)])
def test_devices_that_cannot_be_opened(kernel, device, made, number, error, words):
    kernel.refused[f"/dev/xen/{device}"] = number
    with pytest.raises(error, match=f"cannot use /dev/xen/{device}") as caught:
        made()
    assert words in caught.value.hint


# --- event channels


def test_a_port_is_joined(kernel, events):
    kernel.answers[ioc("E", 1, 8)] = 77
    assert events.bind(5, 131071) == 77
    assert kernel.calls == [("evtchn", 0x00084501, struct.pack("=II", 5, 131071))]
    assert ioc("E", 1, 8) == 0x00084501


def test_a_port_is_offered(kernel, events):
    kernel.answers[ioc("E", 2, 4)] = 78
    assert events.offer(5) == 78
    assert kernel.calls == [("evtchn", 0x00044502, struct.pack("=I", 5))]
    assert ioc("E", 2, 4) == 0x00044502


def test_a_port_is_left_and_signalled(kernel, events):
    events.notify(77)
    events.unbind(77)
    assert kernel.calls == [
        ("evtchn", ioc("E", 4, 4), struct.pack("=I", 77)),
        ("evtchn", ioc("E", 3, 4), struct.pack("=I", 77)),
    ]


@pytest.mark.parametrize(
    ("number", "error"),
    [
        (errno.EINVAL, NotFound),  # not offered, or to another
        (errno.ESRCH, NotFound),  # no such domain
        (errno.ENOSPC, Unreachable),
        (errno.ENOMEM, Unreachable),
        (errno.EACCES, XenwireError),
    ],
)
def test_a_port_that_cannot_be_joined(kernel, events, number, error):
    kernel.answers[ioc("E", 1, 8)] = OSError(number, "no")
    with pytest.raises(XenwireError, match="event channel 3 of domain 5") as caught:
        events.bind(5, 3)
    assert type(caught.value) is error
    if error is XenwireError:
        assert caught.value.reason == os.strerror(number)


def test_a_port_that_cannot_be_offered(kernel, events):
    kernel.answers[ioc("E", 2, 4)] = OSError(errno.ESRCH, "no")
    with pytest.raises(NotFound, match="to domain 5"):
        events.offer(5)


def test_ports_that_are_pending(kernel, events):
    assert events.pending() == []
    assert not select.select([events.fileno()], [], [], 0)[0]
    kernel.there.send(struct.pack("=3I", 7, 131071, 7))
    assert select.select([events.fileno()], [], [], 0)[0]
    assert events.pending() == [7, 131071, 7]
    assert events.pending() == []


def test_as_many_ports_as_one_read_gives(kernel, events):
    most = list(range(1, 1025))
    kernel.there.send(struct.pack("=1024I", *most))
    assert events.pending() == most


def test_ports_are_unmasked_together(kernel, events):
    events.unmask([7, 131071])
    assert kernel.there.recv(100) == struct.pack("=II", 7, 131071)
    events.unmask([])
    kernel.there.setblocking(False)
    with pytest.raises(BlockingIOError):
        kernel.there.recv(100)


# --- grants

MAP, UNMAP = ioc("G", 0, 24), ioc("G", 1, 16)
ALLOC, DEALLOC = ioc("G", 5, 24), ioc("G", 6, 16)


def test_numbers_of_requests():
    assert (MAP, UNMAP, ALLOC, DEALLOC) == (0x00184700, 0x00104701, 0x00184705, 0x00104706)


def at(index):
    """Have a request's page be at this offset of its device."""

    def answer(argument):
        struct.pack_into("=Q", argument, 8, index)
        return 0

    return answer


def test_a_grant_is_mapped_where_the_kernel_says(kernel, grants):
    kernel.answers[MAP] = at(3 * PAGE)
    page = grants.map(5, 0xFFFFFFFF)
    assert kernel.calls == [("gntdev", MAP, struct.pack("=IIQII", 1, 0, 0, 5, 0xFFFFFFFF))]
    page.view[7] = 42
    assert os.pread(kernel.memory, 1, 3 * PAGE + 7) == b"*"  # shared, not a copy
    assert len(page.view) == PAGE
    page.unmap()
    assert kernel.calls[1:] == [("gntdev", UNMAP, struct.pack("=QII", 3 * PAGE, 1, 0))]


def test_the_first_page_is_at_0(kernel, grants):
    kernel.answers[MAP] = at(0)
    page = grants.map(5, 8)
    os.pwrite(kernel.memory, b"!", 0)
    assert page.view[0] == ord("!")
    page.unmap()
    assert kernel.calls[-1] == ("gntdev", UNMAP, struct.pack("=QII", 0, 1, 0))


def maps():
    with open("/proc/self/maps") as lines:
        return sum("memfd:grants" in line for line in lines)


def test_a_mapping_goes_before_its_slot_is_given_back(kernel, grants):
    mapped = []

    def answer(argument):
        mapped.append(maps())
        raise OSError(errno.ENOENT, "the kernel has let go of it already")

    kernel.answers |= {MAP: at(PAGE), UNMAP: answer}
    page = grants.map(5, 8)
    assert maps() == 1
    before = len(os.listdir("/proc/self/fd"))
    page.unmap()
    assert mapped == [0]
    assert len(os.listdir("/proc/self/fd")) == before - 1  # Python's mmap has one of its own


def test_a_page_that_is_looked_at_is_not_unmapped(kernel, grants):
    kernel.answers[MAP] = at(PAGE)
    page = grants.map(5, 8)
    words = page.view.cast("I")
    with pytest.raises(BufferError):
        page.unmap()
    assert [request for _, request, _ in kernel.calls] == [MAP]
    words.release()
    page.unmap()
    assert [request for _, request, _ in kernel.calls] == [MAP, UNMAP]


@pytest.mark.parametrize(
    ("number", "error"),
    [
        (errno.EINVAL, NotFound),
        (errno.ENOENT, NotFound),
        (errno.EAGAIN, Unreachable),
        (errno.ENOMEM, Unreachable),
    ],
)
def test_a_grant_that_is_none(kernel, grants, monkeypatch, number, error):
    """The kernel asks Xen only when it is mapped: its slot is given back."""

    def refused(*_, **__):
        raise OSError(number, "no")

    kernel.answers[MAP] = at(2 * PAGE)
    monkeypatch.setattr("xenwire.hypervisor.linux.mmap.mmap", refused)
    with pytest.raises(XenwireError, match="grant 9 of domain 5") as caught:
        grants.map(5, 9)
    assert type(caught.value) is error
    assert kernel.calls[1:] == [("gntdev", UNMAP, struct.pack("=QII", 2 * PAGE, 1, 0))]


def test_no_slot_for_a_grant_is_no_fault_of_the_guest(kernel, grants):
    kernel.answers[MAP] = OSError(errno.ENOMEM, "no")
    with pytest.raises(OSError, match="no"):
        grants.map(5, 9)


def test_a_page_is_granted(kernel, grants):
    def answer(argument):
        struct.pack_into("=QI", argument, 8, PAGE, 1234)
        return 0

    kernel.answers[ALLOC] = answer
    assert "gntalloc" not in kernel.devices.values()
    reference, page = grants.grant(5)
    assert reference == 1234
    assert kernel.calls == [("gntalloc", ALLOC, struct.pack("=HHIQI4x", 5, 1, 1, 0, 0))]
    assert len(kernel.calls[0][2]) == 24
    page.unmap()
    assert kernel.calls[1:] == [("gntalloc", DEALLOC, struct.pack("=QII", PAGE, 1, 0))]


def test_a_page_that_cannot_be_granted(kernel, grants):
    kernel.answers[ALLOC] = OSError(errno.ENOSPC, "no")
    with pytest.raises(XenwireError, match="cannot grant domain 5 a page"):
        grants.grant(5)


def test_a_module_that_is_not_loaded(kernel, grants):
    kernel.refused["/dev/xen/gntalloc"] = errno.ENOENT
    with pytest.raises(Unreachable, match="gntalloc"):
        grants.grant(5)
