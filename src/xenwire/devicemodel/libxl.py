"""What libxl asks of the program that it starts as a device model, by its arguments. Pure.

Those for qemu-xen go to QEMU as they are, but for its monitors: they are ours to offer, so that more than one
client can use them. Those for qemu-xen-traditional are said anew in the words of today's QEMU.

(xen: tools/libs/light/libxl_dm.c, libxl__build_device_model_args_new and _old)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final

from xenwire.errors import UsageError, XenwireError
from xenwire.qemu.chardev import Address, FdAddress, Socket, UnixAddress, parse_option
from xenwire.qemu.options import format_option
from xenwire.qemu.qmp.broker.access import Access
from xenwire.types import DomId

__all__ = ["Request", "is_probe", "parse_request"]

_MONITORS: Final = {"libxl-cmd": Access.FULL, "libxenstat-cmd": Access.MONITOR}
_FD: Final = re.compile(r"(?:.*,)?fd[:=]([0-9]{1,6})(?:,.*)?")
_USB: Final = {"tablet": "usb-tablet", "mouse": "usb-mouse", "keyboard": "usb-kbd"}


@dataclass(slots=True)
class Request:
    """A device model that libxl wants."""

    domid: DomId
    traditional: bool = False
    arguments: list[str] = field(default_factory=list)
    """For QEMU; a traditional request names neither the memory nor what to restore there."""
    monitors: dict[Path, Access] = field(default_factory=dict)
    """Where libxl, and libxenstat, look for QEMU's monitor."""
    listening: dict[int, Access] = field(default_factory=dict)
    """Descriptors of sockets where they, with `dm_restrict`, connect to it."""
    fds: list[int] = field(default_factory=list)
    """Descriptors that libxl hands down for QEMU."""
    restricted: bool = False
    """Whether QEMU is kept from the store (`dm_restrict`)."""
    stopped: bool = False
    """Whether the processors wait for libxl's word."""
    restore: Path | None = None
    """Where the state is that a traditional device model is to load."""
    video_memory: int = 0
    """MiB, of a traditional device model's."""
    ignored: list[str] = field(default_factory=list)
    """Options that mean nothing to us."""


def is_probe(arguments: Sequence[str]) -> bool:
    """Tell whether libxl only asks what QEMU can do, as since 4.20 it does before each start.

    It is a QEMU without a machine, and no domain is named (xen: tools/libs/light/libxl_dm.c,
    libxl__spawn_local_dm).
    """
    machines = {value.partition(",")[0] for option, value in pairwise(arguments) if option == "-machine"}
    return machines == {"none"} and not {"-xen-domid", "-d"}.intersection(arguments)


def parse_request(arguments: Sequence[str]) -> Request:
    """Read the arguments, without the program's name. Raises UsageError if they are not libxl's."""
    words = iter(arguments)
    if "-xen-domid" in arguments:
        return _parse_upstream(words, _domid(arguments, "-xen-domid"))
    if "-d" in arguments:
        return _parse_traditional(words, _domid(arguments, "-d"))
    raise UsageError(
        "these are no arguments of libxl's for a device model",
        reason="there is neither -xen-domid nor -d",
        hint='it is for xl: device_model_override = "…" in a configuration',
    )


def _domid(arguments: Sequence[str], option: str) -> DomId:
    place = list(arguments).index(option) + 1
    return DomId(arguments[place] if place < len(arguments) else "")


def _parse_upstream(words: Iterator[str], domid: DomId) -> Request:
    request = Request(domid)
    taken: set[str] = set()
    for word in words:
        if word == "-S":
            request.stopped = True
        elif word == "-chardev":
            value = _value(words, word)
            match _monitor(value):
                case name, UnixAddress(path=path):
                    request.monitors[Path(path)] = _MONITORS[name]
                    taken.add(name)
                case name, FdAddress(int(fd)):
                    request.listening[fd] = _MONITORS[name]
                    taken.add(name)
                case _:
                    request.arguments += [word, value]
        elif word == "-mon":
            value = _value(words, word)
            if value.partition(",")[0].removeprefix("chardev=") not in taken:
                request.arguments += [word, value]
        else:
            request.restricted |= word == "-xen-domid-restrict"
            request.arguments.append(word)
    for value in request.arguments:
        if found := _FD.fullmatch(value):
            request.fds.append(int(found[1]))
    return request


def _monitor(option: str) -> tuple[str, Address] | None:
    """Give the id and the address of a monitor of libxl's."""
    try:
        name, chardev = parse_option(option)
    except XenwireError:  # QEMU will say what is wrong with it
        return None
    if name in _MONITORS and isinstance(chardev, Socket) and chardev.server:
        return name, chardev.address
    return None


def _value(words: Iterator[str], option: str) -> str:
    try:
        return next(words)
    except StopIteration:
        raise UsageError(f"the option {option} has no value") from None


class _Traditional:
    """The words of qemu-xen-traditional, as they come."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.display: list[str] = []
        self.any_port = False
        self.video: tuple[str, str] = ("cirrus-vga", "4")  # device, MiB
        self.vcpus = "1"
        self.online = 1
        self.acpi = False
        self.nics: dict[str, dict[str, str]] = {}

    def rendered(self) -> list[str]:
        """Say all of it to today's QEMU."""
        display = self.display or ["-display", "none"]
        if self.any_port and display[0] == "-vnc":
            display = ["-vnc", f"{display[1]},to=99"]
        device, memory = self.video
        video = ["-device", format_option(device, {"vgamem_mb": memory})] if device else []
        nics = [word for number, nic in self.nics.items() for word in _nic(number, nic)]
        return [
            *("-xen-domid", str(self.request.domid), "-no-shutdown", "-nodefaults", "-no-user-config"),
            *display,
            *video,
            *([] if self.acpi else ["-no-acpi"]),
            *("-smp", f"{self.online},maxcpus={self.vcpus}"),
            *(nics or ["-net", "none"]),
        ]

    def net(self, value: str) -> None:
        """Take `-net`: a card and the tap behind it have the same `vlan`."""
        kind, *options = value.split(",")
        if kind in ("nic", "tap"):
            pairs = dict(option.partition("=")[::2] for option in options)
            self.nics.setdefault(pairs.pop("vlan", "0"), {}).update(pairs)

    def vnc(self, value: str) -> None:
        """Take `-vnc`."""
        where, *options = value.split(",")
        self.display = ["-vnc", ",".join([where, *(["password=on"] if "password" in options else [])])]


def _nic(number: str, nic: Mapping[str, str]) -> Iterator[str]:
    name = f"net{number}"
    tap = {"id": name, "ifname": nic.get("ifname", f"tap{number}"), "script": "no", "downscript": "no"}
    yield from ("-netdev", format_option("tap", tap))
    card = (
        {"id": f"nic{number}", "netdev": name, "mac": nic["macaddr"]}
        if "macaddr" in nic
        else {"netdev": name}
    )
    yield from ("-device", format_option(nic.get("model", "rtl8139"), card))


def _parse_traditional(words: Iterator[str], domid: DomId) -> Request:
    request = Request(domid, traditional=True)
    state = _Traditional(request)
    more: list[str] = []

    def usb(value: str) -> None:
        if value in _USB:
            more.extend(["-usb", "-device", _USB[value]])
        else:
            request.ignored.append(f"-usbdevice {value}")

    def machine(value: str) -> None:
        more.extend(
            ["-xen-attach", "-machine", value]
            if value == "xenpv"
            else ["-machine", f"{value},suppress-vmdesc=on"]
        )

    def restore(value: str) -> None:
        request.restore = Path(value)

    def video(memory: str) -> None:
        request.video_memory = int(memory) if memory.isdecimal() else 0
        state.video = (state.video[0], str(max(4, request.video_memory)))

    def adapter(device: str) -> None:
        state.video = (device, state.video[1])

    def online(mask: str) -> None:
        try:
            state.online = max(1, int(mask, 16).bit_count())
        except ValueError:
            request.ignored.append(f"-vcpu_avail {mask}")

    def vcpus(count: str) -> None:
        state.vcpus = count

    with_value: dict[str, Callable[[str], object]] = {
        "-d": lambda _: None,
        "-domain-name": lambda name: more.extend(["-name", name]),
        "-vnc": state.vnc,
        "-k": lambda keymap: more.extend(["-k", keymap]),
        "-serial": lambda port: more.extend(["-serial", port]),
        "-videoram": video,
        "-vga": lambda kind: adapter("") if kind == "none" else None,
        "-boot": lambda order: more.extend(["-boot", f"order={order}"]),
        "-usbdevice": usb,
        "-vcpus": vcpus,
        "-vcpu_avail": online,
        "-net": state.net,
        "-loadvm": restore,
        "-M": machine,
    }
    flags: dict[str, Callable[[], object]] = {
        "-std-vga": lambda: adapter("VGA"),
        "-nographic": lambda: None,
        "-acpi": lambda: setattr(state, "acpi", True),
        "-vncunused": lambda: setattr(state, "any_port", True),
        "-usb": lambda: more.append("-usb"),
    }
    for word in words:
        if word in with_value:
            with_value[word](_value(words, word))
        elif word in flags:
            flags[word]()
        else:
            request.ignored.append(word)
    request.arguments = [*state.rendered(), *more]
    return request
