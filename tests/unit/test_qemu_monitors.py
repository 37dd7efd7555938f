"""Which of QEMU's arguments put its monitor where it cannot be."""

import pytest

from xenwire.qemu.monitors import unfit_monitor

UDP = "a monitor on it is never told of a peer and greets nobody; the first datagram ends QEMU 7.2"
MUX = "a multiplexer takes byte 0x01 for a command: 0x01 x ends QEMU"
NULL = "output is thrown away, and there is no input"
FILE = "there is no input: the greeting and events are all that is written"


@pytest.mark.parametrize(
    ("arguments", "what", "kind", "why"),
    [
        ("-chardev udp,id=m,port=1 -mon chardev=m,mode=control", "-mon chardev=m,mode=control", "udp", UDP),
        (
            "-mon m,mode=control,pretty=on -chardev pty,id=m,mux=on",
            "-mon m,mode=control,pretty=on",
            "pty",
            MUX,
        ),
        ("-qmp udp:localhost:1", "-qmp udp:localhost:1", "udp", UDP),
        ("-qmp mon:stdio", "-qmp mon:stdio", "stdio", MUX),
        ("--chardev null,id=n --qmp-pretty chardev:n", "-qmp-pretty chardev:n", "null", NULL),
        ("-qmp unix:/s,server=on,wait=off -qmp file:/log", "-qmp file:/log", "file", FILE),
    ],
)
def test_a_monitor_where_it_cannot_be(arguments, what, kind, why):
    told = unfit_monitor(["-nodefaults", *arguments.split(), "-m", "64"])
    assert told == f"{what} puts a monitor on a chardev of kind {kind}: {why}"


@pytest.mark.parametrize(
    "arguments",
    [
        "-chardev socket,id=m,path=/s,server=on,wait=off -mon chardev=m,mode=control",
        "-chardev pty,id=m -mon m,mode=control -qmp stdio -qmp pipe:/p",
        # People's monitor, and devices, are QEMU's own affair.
        "-chardev udp,id=m,port=1 -mon chardev=m -serial chardev:m -monitor mon:stdio",
        # So is what it refuses, or what a newer one may understand.
        "-chardev udp,id=m,port=1 -mon chardev=n,mode=control -qmp chardev:n",
        "-chardev udp,id=m -mon chardev=m,mode=control -qmp what? -qmp",
        "-chardev nonsense,id=m -mon chardev=m,chardev=m,mode=control",
        "",
    ],
)
def test_monitors_that_work_or_are_qemus_to_refuse(arguments):
    assert unfit_monitor(arguments.split()) is None
