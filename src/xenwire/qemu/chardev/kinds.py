"""The kinds of character devices that are no sockets. Pure.

Facts: qemu-system(1), "Character device options"; qemu: qapi/char.json, chardev/.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Self

from xenwire.errors import UsageError
from xenwire.qemu.chardev.base import MUX_OBSTACLE, Chardev
from xenwire.qemu.chardev.forms import BOOL, ID, NAME, PATH, RING_SIZE, number
from xenwire.qemu.chardev.record import Version, members_of, options_of, read_members, read_options, said
from xenwire.qemu.options import check_id

__all__ = [
    "MAX_HUB",
    "Braille",
    "Dbus",
    "File",
    "Hub",
    "MsMouse",
    "Mux",
    "Null",
    "Parallel",
    "Pipe",
    "Pty",
    "QemuVdagent",
    "RingBuf",
    "Serial",
    "SpicePort",
    "SpiceVmc",
    "Stdio",
    "TestDev",
    "Vc",
    "WcTablet",
]

MAX_HUB: Final = 4
"""Character devices in a hub."""

_EXTENT: Final = number(1, 2**31 - 1)


@dataclass(frozen=True, slots=True)
class Null(Chardev):
    """Output is thrown away; there never is input, and a guest that reads gets end-of-file."""

    kind: ClassVar[str] = "null"
    _obstacle: ClassVar[str | None] = "output is thrown away, and there is no input"
    _duplex: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Pty(Chardev):
    """A new pseudo-terminal, raw; QEMU tells its path (see `parse_filename`).

    `path`: a symbolic link to it that QEMU makes (since QEMU 9.2). Raises UsageError for a bad path.
    """

    kind: ClassVar[str] = "pty"

    path: str | None = field(
        default=None, metadata=said(PATH, "path", "path", option_since=(9, 2), member_since=(9, 2))
    )


@dataclass(frozen=True, slots=True)
class File(Chardev):
    """Output goes to a file, emptied first unless `append`; input comes from `input_path`.

    Without that there never is input, and guest reads block. The command line has it since QEMU 8.1, QMP
    always had it. Raises UsageError for a path that is empty or has a NUL.
    """

    kind: ClassVar[str] = "file"

    path: str = field(metadata=said(PATH, "path", "out"))
    append: bool = field(default=False, metadata=said(BOOL, "append", "append"))
    input_path: str | None = field(default=None, metadata=said(PATH, "input-path", "in", option_since=(8, 1)))

    @property
    def duplex(self) -> bool:
        """Whether bytes go both ways."""
        return self.input_path is not None

    @property
    def qmp_obstacle(self) -> str | None:
        """Why it cannot carry QMP; None if it can."""
        if self.input_path is None:
            return "there is no input: the greeting and events are all that is written"
        return MUX_OBSTACLE if self.mux else None


@dataclass(frozen=True, slots=True)
class Pipe(Chardev):
    """Two FIFOs that exist already, `path` with `.in` for the guest's input and with `.out` for its output.

    Without either of them QEMU opens `path` itself, to read and write. It sees nobody come and go.
    """

    kind: ClassVar[str] = "pipe"

    path: str = field(metadata=said(PATH, "path", "device"))


@dataclass(frozen=True, slots=True)
class Stdio(Chardev):
    """QEMU's standard input and output. `signal`: Ctrl-C on a terminal ends QEMU."""

    kind: ClassVar[str] = "stdio"

    signal: bool = field(default=True, metadata=said(BOOL, "signal", "signal"))


@dataclass(frozen=True, slots=True)
class Serial(Chardev):
    """A terminal device of the host, such as /dev/ttyS0, /dev/hvc0 or one end of a pty. Once `tty`."""

    kind: ClassVar[str] = "serial"

    path: str = field(metadata=said(PATH, "path", "device"))


@dataclass(frozen=True, slots=True)
class Parallel(Chardev):
    """A parallel port of the host, such as /dev/parport0. Once `parport`."""

    kind: ClassVar[str] = "parallel"
    _obstacle: ClassVar[str | None] = "a guest's port is passed on line by line, not as bytes"
    _duplex: ClassVar[bool] = False

    path: str = field(metadata=said(PATH, "path", "device"))


@dataclass(frozen=True, slots=True)
class RingBuf(Chardev):
    """The last `size` bytes of output, a power of two, for QMP's `ringbuf-read`. Once `memory`."""

    kind: ClassVar[str] = "ringbuf"
    _obstacle: ClassVar[str | None] = "there is no input: ringbuf-write fills the buffer that output goes to"
    _duplex: ClassVar[bool] = False

    size: int = field(default=65536, metadata=said(RING_SIZE, "size", "size"))


@dataclass(frozen=True, slots=True)
class Vc(Chardev):
    """A text console of QEMU's display, of a size in pixels or in characters.

    Raises UsageError for both at once.
    """

    kind: ClassVar[str] = "vc"
    _obstacle: ClassVar[str | None] = "it is a screen and a keyboard"

    width: int | None = field(default=None, metadata=said(_EXTENT, "width", "width"))
    height: int | None = field(default=None, metadata=said(_EXTENT, "height", "height"))
    cols: int | None = field(default=None, metadata=said(_EXTENT, "cols", "cols"))
    rows: int | None = field(default=None, metadata=said(_EXTENT, "rows", "rows"))

    def _check(self) -> None:
        if (self.width is not None and self.cols is not None) or (
            self.height is not None and self.rows is not None
        ):
            raise UsageError("a console of two sizes", reason="one is in pixels, the other in characters")


@dataclass(frozen=True, slots=True)
class MsMouse(Chardev):
    """An emulated serial mouse of Microsoft's kind."""

    kind: ClassVar[str] = "msmouse"
    _obstacle: ClassVar[str | None] = "it is a mouse"


@dataclass(frozen=True, slots=True)
class WcTablet(Chardev):
    """An emulated serial tablet of Wacom's kind."""

    kind: ClassVar[str] = "wctablet"
    _obstacle: ClassVar[str | None] = "it is a tablet"


@dataclass(frozen=True, slots=True)
class TestDev(Chardev):
    """Commands for QEMU's own tests: a guest that writes to it can end QEMU."""

    kind: ClassVar[str] = "testdev"
    _obstacle: ClassVar[str | None] = "it takes output for commands of its own: a monitor on it ends QEMU"
    _duplex: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Braille(Chardev):
    """A braille display, by the BrlAPI server of the host."""

    kind: ClassVar[str] = "braille"
    _obstacle: ClassVar[str | None] = "it is a braille display"


@dataclass(frozen=True, slots=True)
class _Spice(Chardev):
    @classmethod
    def from_options(cls, options: dict[str, str]) -> Self:
        """Take its options out of `options`. Raises UsageError."""
        options.pop("debug", None)  # QEMU has it still, and does nothing with it
        return cls(**read_options(cls, options))


@dataclass(frozen=True, slots=True)
class SpiceVmc(_Spice):
    """A channel of SPICE's: `vdagent`, `smartcard`, `usbredir`."""

    kind: ClassVar[str] = "spicevmc"
    _obstacle: ClassVar[str | None] = "the SPICE client gives each channel a purpose of its own"

    name: str = field(metadata=said(NAME, "name", "type"))


@dataclass(frozen=True, slots=True)
class SpicePort(_Spice):
    """A stream to the SPICE client by its name: `org.qemu.monitor.qmp.0` is one that carries QMP."""

    kind: ClassVar[str] = "spiceport"

    name: str = field(metadata=said(NAME, "name", "fqdn"))


@dataclass(frozen=True, slots=True)
class Dbus(Chardev):
    """A stream that `-display dbus` offers, by its name."""

    kind: ClassVar[str] = "dbus"

    name: str = field(metadata=said(NAME, "name", "name"))


@dataclass(frozen=True, slots=True)
class QemuVdagent(Chardev):
    """QEMU's end of the SPICE agent in the guest, without SPICE: the pointer (`mouse`), the clipboard."""

    kind: ClassVar[str] = "qemu-vdagent"
    _obstacle: ClassVar[str | None] = "it speaks the protocol of the SPICE agent"

    mouse: bool = field(default=True, metadata=said(BOOL, "mouse", "mouse"))
    clipboard: bool = field(default=False, metadata=said(BOOL, "clipboard", "clipboard"))


@dataclass(frozen=True, slots=True)
class Mux(Chardev):
    """A multiplexer on another character device, by its id, for up to four frontends.

    On the command line `mux` of that device does the same: it is then ID-base, and its multiplexer ID.
    """

    kind: ClassVar[str] = "mux"
    _obstacle: ClassVar[str | None] = MUX_OBSTACLE

    chardev: str = field(metadata=said(ID, "chardev", "chardev"))


@dataclass(frozen=True, slots=True)
class Hub(Chardev):
    """Up to four other character devices, by their ids, for one frontend (since QEMU 10.0).

    Each gets all output. None of them may be a hub or a multiplexer. Raises UsageError for none, more than
    four, one twice, and what is no id.
    """

    kind: ClassVar[str] = "hub"
    since: ClassVar[Version] = (10, 0)
    _obstacle: ClassVar[str | None] = "the commands of all are mixed, and each gets the replies of all"

    chardevs: tuple[str, ...]

    def _check(self) -> None:
        if not 1 <= len(set(self.chardevs)) == len(self.chardevs) <= MAX_HUB:
            raise UsageError(
                f"a hub of {', '.join(self.chardevs) or 'nothing'}",
                reason=f"a hub has 1 to {MAX_HUB} different chardevs",
            )
        for chardev in self.chardevs:
            check_id(chardev)

    def options(self, version: Version) -> dict[str, str | int | bool]:
        """Give its options but the kind and the id. Raises what `to_option` raises."""
        return {f"chardevs.{n}": each for n, each in enumerate(self.chardevs)} | options_of(self, version)

    def members(self, version: Version) -> dict[str, Any]:
        """Give its `data` in QMP. Raises what `to_qmp` raises."""
        return {"chardevs": list(self.chardevs), **members_of(self, version)}

    @classmethod
    def from_options(cls, options: dict[str, str]) -> Self:
        """Take its options out of `options`. Raises UsageError."""
        chardevs: list[str] = []
        while (name := f"chardevs.{len(chardevs)}") in options:
            chardevs.append(options.pop(name))
        return cls(tuple(chardevs), **read_options(cls, options))

    @classmethod
    def from_members(cls, members: dict[str, Any]) -> Self:
        """Take its members out of QMP's `data`. Raises UsageError."""
        chardevs = members.pop("chardevs", None)
        if not isinstance(chardevs, list) or not all(isinstance(each, str) for each in chardevs):
            raise UsageError("bad chardevs in hub chardev", reason="expected a list of ids")
        return cls(tuple(chardevs), **read_members(cls, members))
