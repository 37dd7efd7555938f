"""Network cards (xen: tools/xl/xl_parse.c, tools/libs/util/libxlu_vif.c)."""

from __future__ import annotations

import re
from typing import Any, Final

from xenwire.config.diagnostics import Severity, shown
from xenwire.config.libxl.types import DeviceNic, NicType
from xenwire.config.libxl.version import XenVersion
from xenwire.config.numbers import strtol, uint32
from xenwire.config.xl.devices.pieces import Item, Piece, items, strtoul
from xenwire.config.xl.reader import Reader, decoded

__all__ = ["BadRate", "parse_rate", "read_nics"]

_TEXTS: Final = {
    "bridge": "bridge",
    "gatewaydev": "gatewaydev",
    "netdev": "gatewaydev",
    "ip": "ip",
    "script": "script",
    "backend": "backend_domname",
    "vifname": "ifname",
    "model": "model",
    "forwarddev": "coloft_forwarddev",
}
_TYPES: Final = {b"vif": NicType.VIF, b"ioemu": NicType.VIF_IOEMU}
_COLO: Final = frozenset(name for name in DeviceNic.FIELDS if name.startswith("colo_"))
_FLAGS: Final = {b"trusted": True, b"untrusted": False}
_KEYS: Final = ("type", "mac", *_TEXTS, "rate", "mtu", "devid", "trusted", "untrusted")
_VLAN_SINCE: Final = XenVersion(4, 19, 0)

_MAC_GROUPS: Final = 6
_RATE: Final = re.compile(rb"[0-9]+[GMK]?[Bb]/s")
_INTERVAL: Final = re.compile(rb"[0-9]+[mu]?s?")
_OCTAL: Final = re.compile(rb"(?<![0-9])0[0-9]")
_RATE_HINT: Final = "write rate=10Mb/s, rate=1MB/s or, with an interval, rate=1MB/s@20ms"
_DEFAULT_INTERVAL: Final = 50_000
"""Microseconds."""
_UINT32_MAX: Final = 2**32 - 1
_UINT64_MAX: Final = 2**64 - 1


class BadRate(Exception):
    """A rate that xl refuses: what is wrong, in its words, and with which part of the text."""

    def __init__(self, what: bytes, text: bytes) -> None:
        super().__init__(what)
        self.what = what
        self.text = text


def read_nics(reader: Reader) -> tuple[DeviceNic, ...]:
    """Read the key `vif`: the cards are numbered by their places in the list, if they do not say a number."""
    return tuple(_nic(reader, devid, item) for devid, item in enumerate(items(reader, "vif")))


def parse_rate(text: bytes) -> tuple[int, int]:
    """Read `10Mb/s@20ms`: K, M and G are powers of 1000, b is a bit, B a byte. Raises BadRate.

    Gives the bytes in an interval, and the interval in microseconds.
    """
    rate, at, interval = text.partition(b"@")
    if not rate:
        raise BadRate(b"no rate specified", text)
    bytes_per_second = _bytes_per_second(rate)
    usecs = _interval_usecs(interval) if at else _DEFAULT_INTERVAL
    if bytes_per_second > _UINT64_MAX // usecs:
        raise BadRate(b"rate overflow", text)
    return bytes_per_second * usecs // 10**6, usecs


def _bytes_per_second(text: bytes) -> int:
    if not _RATE.fullmatch(text):
        raise BadRate(b"invalid rate", text)
    number, length = strtol(text, 0)
    if not 0 < number <= _UINT32_MAX:
        raise BadRate(b"rate overflow", text)
    # xl looks at the two bytes after the number, which a leading 0 may have ended early: 018Mb/s.
    unit = text[length : length + 2]
    number *= {b"G": 10**9, b"M": 10**6, b"K": 10**3}.get(unit[:1], 1)
    return number // 8 if b"b" in unit else number


def _interval_usecs(text: bytes) -> int:
    if not _INTERVAL.fullmatch(text):
        raise BadRate(b"invalid replenishment interval", text)
    number, length = strtol(text, 0)
    if 0 < number <= _UINT32_MAX:
        number *= {b"": 10**6, b"s": 10**6, b"m": 10**3}.get(text[length : length + 1], 1)
    if not 0 < number <= _UINT32_MAX:
        raise BadRate(b"replenishment interval overflow", text)
    return number


def _nic(reader: Reader, devid: int, item: Item) -> DeviceNic:
    nic = _Nic(reader, devid)
    seen: set[bytes] = set()
    for piece in item.pieces():
        if piece.given:
            item.note_repeated(piece, seen)
        nic.read(piece)
    return nic.device()


class _Nic:
    """A network card while its item is being read."""

    def __init__(self, reader: Reader, devid: int) -> None:
        conf = reader.facts.conf
        self._source = reader.source
        self._has_vlan = reader.facts.version >= _VLAN_SINCE
        self._mac = bytearray(_MAC_GROUPS)
        self._fields: dict[str, Any] = {
            "devid": devid,
            "script": conf.vif_script,
            "bridge": conf.vif_bridge,
            "gatewaydev": conf.vif_gatewaydev,
            "backend_domname": conf.vif_backend,
        }

    def device(self) -> DeviceNic:
        return DeviceNic(mac=self._mac.hex(":"), **self._fields)

    def read(self, piece: Piece) -> None:
        """Read a piece. xl skips most of those that it does not understand."""
        fields = self._fields
        if not piece.given:
            flag = _FLAGS.get(piece.text)
            if flag is None:
                self._overlook(piece)
            else:
                fields["trusted"] = flag
            return
        key = decoded(piece.key)
        match key:
            case "type" if piece.value in _TYPES:
                fields["nictype"] = _TYPES[piece.value]
            case "type":
                piece.item.warn(
                    piece.value_at,
                    f"unknown type of network card: {shown(piece.value)}, ignored",
                    "write type=vif or type=ioemu",
                    xl=b"Invalid parameter `type'.\n",
                )
            case "mac":
                self._read_mac(piece)
            case "rate":
                self._read_rate(piece)
            case "mtu" | "devid":
                fields[key] = piece.required()
            case "accel":
                words = b"the accel parameter for vifs is currently not supported\n"
                piece.item.warn(piece.at, "accel is not supported, and ignored", xl=words)
            case _ if key in _TEXTS:
                if key == "netdev":
                    words = b"the netdev parameter is deprecated, please use gatewaydev instead\n"
                    piece.item.warn(piece.at, "netdev is deprecated", "write gatewaydev", xl=words)
                fields[_TEXTS[key]] = piece.string
            case _ if key in _COLO or (key == "vlan" and self._has_vlan):
                fields[key] = piece.string
            case _:
                self._overlook(piece)

    def _overlook(self, piece: Piece) -> None:
        hint = piece.item.suggestion(Severity.WARNING, piece.key, _KEYS)
        message = f"unknown parameter of a network card: {shown(piece.text) or 'blanks'}, ignored"
        piece.item.warn(piece.at, message, hint, xl=b"unrecognized argument `%s'\n" % piece.text)

    def _read_mac(self, piece: Piece) -> None:
        """Read six hexadecimal numbers, any byte between them. Of a bad one the groups before it stay."""
        at = 0
        hint = "write six groups of two hexadecimal digits: 00:16:3e:01:02:03"
        for group in range(_MAC_GROUPS):
            if at > len(piece.value):
                message = f"a mac with less than six groups: {shown(piece.value)}"
                piece.item.error(piece.value_at, message, hint, xl_status=-11)
                return
            number, length = strtoul(piece.value[at:], 16)
            number = uint32(number)
            if not length or number > 0xFF:
                message = f"not a mac: {shown(piece.value)}, ignored"
                piece.item.warn(piece.value_at, message, hint, xl=b"Invalid parameter `mac'.\n")
                return
            self._mac[group] = number
            at += length + 1
        if at <= len(piece.value):
            rest = shown(piece.value[at - 1 :])
            piece.item.warn(piece.value_at + at - 1, f"xl overlooks this after the mac: {rest}", hint)

    def _read_rate(self, piece: Piece) -> None:
        try:
            amount, interval = parse_rate(piece.value)
        except BadRate as error:
            what = error.what.decode()
            words = b"%s: config parsing error in vif: %s in `%s'\n" % (self._source, error.what, error.text)
            piece.item.error(piece.value_at, f"{what}: {shown(piece.value)}", _RATE_HINT, xl=words)
            return
        self._fields["rate_bytes_per_interval"] = amount
        self._fields["rate_interval_usecs"] = interval
        if _OCTAL.search(piece.value):
            message = f"xl reads a number that starts with 0 as octal: {shown(piece.value)}"
            piece.item.warn(piece.value_at, message, "leave out the 0")
