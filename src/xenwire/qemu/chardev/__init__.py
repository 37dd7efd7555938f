"""Character devices: the host ends of a guest's wires, as QEMU is told of them. Pure.

Each kind is a frozen value that is right by construction, and means the same on the command line and in QMP,
whose defaults differ:

    >>> Socket(UnixAddress("/run/x"), server=True).to_option("x")
    'socket,id=x,path=/run/x,server=on,wait=off'
    >>> parse_option("socket,id=x,path=/run/x,server=on,wait=off")[1].to_qmp("x")["backend"]["data"]["server"]
    True
"""

from xenwire.qemu.chardev.addresses import Address, FdAddress, InetAddress, UnixAddress, VsockAddress
from xenwire.qemu.chardev.base import Chardev
from xenwire.qemu.chardev.compat import Reference, parse_compat
from xenwire.qemu.chardev.filename import Filename, fdset_path, parse_filename
from xenwire.qemu.chardev.kinds import (
    Braille,
    Dbus,
    File,
    Hub,
    MsMouse,
    Mux,
    Null,
    Parallel,
    Pipe,
    Pty,
    QemuVdagent,
    RingBuf,
    Serial,
    SpicePort,
    SpiceVmc,
    Stdio,
    TestDev,
    Vc,
    WcTablet,
)
from xenwire.qemu.chardev.parse import KINDS, from_qmp, parse_option
from xenwire.qemu.chardev.sockets import Socket, Udp

__all__ = [
    "KINDS",
    "Address",
    "Braille",
    "Chardev",
    "Dbus",
    "FdAddress",
    "File",
    "Filename",
    "Hub",
    "InetAddress",
    "MsMouse",
    "Mux",
    "Null",
    "Parallel",
    "Pipe",
    "Pty",
    "QemuVdagent",
    "Reference",
    "RingBuf",
    "Serial",
    "Socket",
    "SpicePort",
    "SpiceVmc",
    "Stdio",
    "TestDev",
    "Udp",
    "UnixAddress",
    "Vc",
    "VsockAddress",
    "WcTablet",
    "fdset_path",
    "from_qmp",
    "parse_compat",
    "parse_filename",
    "parse_option",
]
