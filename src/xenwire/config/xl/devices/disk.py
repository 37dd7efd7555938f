"""Disks (xen: tools/libs/util/libxlu_disk_l.l, libxlu_disk.c; docs/man/xl-disk-configuration.5.pod).

`/dev/vg/a,raw,xvda,rw`, or `format=raw,vdev=xvda,access=rw,target=/dev/vg/a`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from xenwire.config.diagnostics import MAX_DIAGNOSTICS, Severity, shown
from xenwire.config.libxl.struct import Enumeration
from xenwire.config.libxl.types import DeviceDisk, DiskBackend, DiskFormat, DiskSpecification
from xenwire.config.libxl.version import XenVersion
from xenwire.config.xl.devices.disk_scanner import (
    FLAGS,
    PARAMETERS,
    TRUST_FLAGS,
    DiskForm,
    DiskToken,
    scan_disk,
)
from xenwire.config.xl.devices.pieces import Item, atoi, items
from xenwire.config.xl.reader import Reader, decoded

__all__ = ["read_disks"]

_TRUST_SINCE: Final = XenVersion(4, 19, 0)
"""Before, xl was built with a scanner older than its manual, without the flags for trust and grants."""
_MOST_WORDS: Final = 2**20
"""Bytes of xl's words about one item that are kept: it repeats the whole item with each error."""
_JAMMED: Final = 2
"""The exit status of xl when its scanner fails."""

_FORMATS: Final = {
    b"": DiskFormat.RAW,
    b"raw": DiskFormat.RAW,
    b"qcow": DiskFormat.QCOW,
    b"qcow2": DiskFormat.QCOW2,
    b"vhd": DiskFormat.VHD,
    b"empty": DiskFormat.EMPTY,
    b"qed": DiskFormat.QED,
}
_BACKENDS: Final = {
    b"phy": DiskBackend.PHY,
    b"tap": DiskBackend.TAP,
    b"qdisk": DiskBackend.QDISK,
    b"standalone": DiskBackend.STANDALONE,
}
_SPECIFICATIONS: Final = {b"xen": DiskSpecification.XEN, b"virtio": DiskSpecification.VIRTIO}
_ACCESSES: Final = {b"r": 0, b"ro": 0, b"rw": 1, b"w": 1, b"": 1}
_FLAGS: Final = {
    b"cdrom": ("is_cdrom", 1),
    b"direct-io-safe": ("direct_io_safe", True),
    b"discard": ("discard_enable", True),
    b"no-discard": ("discard_enable", False),
    b"colo": ("colo_enable", True),
    b"no-colo": ("colo_enable", False),
    b"trusted": ("trusted", True),
    b"untrusted": ("trusted", False),
    b"grant_usage=1": ("grant_usage", True),
    b"grant_usage=0": ("grant_usage", False),
}
_SCRIPTS: Final = frozenset({b"iscsi", b"nbd", b"enbd", b"drbd"})
"""The prefixes that stand for a script."""
_ORDER: Final = "the parts without a name are target, format, vdev and access, in this order"
_NO_TRUST_FLAGS: Final = "xl before 4.19 does not know this flag: leave it out"
_SWALLOWED: Final = re.compile(
    rb",\s*(?:(?:target|%s)=|(?:%s)(?:,|$))" % (b"|".join(PARAMETERS), b"|".join(sorted(FLAGS | TRUST_FLAGS)))
)
"""What looks like a parameter after a target."""


def read_disks(reader: Reader) -> tuple[DeviceDisk, ...]:
    """Read the key `disk`."""
    return tuple(_Disk(reader, item).read() for item in items(reader, "disk"))


class _Disk:
    """A disk while its item is being read. xl goes on after most errors, and gives up at the end."""

    def __init__(self, reader: Reader, item: Item) -> None:
        self._item = item
        self._source = reader.source
        self._trust_flags = reader.facts.version >= _TRUST_SINCE
        self._fields: dict[str, Any] = {"readwrite": 1}
        self._prefixed = False
        """Whether there was a deprecated prefix: then no positional part is the format."""
        self._access_given = False
        """Whether a positional part was the access."""
        self._errors: list[tuple[int, str, str | None]] = []
        self._words: list[bytes] = []
        self._room = _MOST_WORDS
        self._status = 1

    def read(self) -> DeviceDisk:
        for token in scan_disk(self._item.value, trust_flags=self._trust_flags):
            if not self._read(token):
                break
        if not self._errors:
            self._finish()
        words = b"".join(self._words)
        for index, message, hint in self._errors:
            self._item.error(index, message, hint, xl=words, xl_status=self._status)
        return DeviceDisk(**self._fields)

    def _read(self, token: DiskToken) -> bool:
        """Read a token. Gives False if xl reads no further."""
        text = token.text
        match token.form:
            case DiskForm.PARAMETER:
                self._parameter(token)
            case DiskForm.TARGET:
                self._target(token)
            case DiskForm.FLAG:
                field, value = _FLAGS[text.removesuffix(b",")]
                self._fields[field] = value
            case DiskForm.UNKNOWN:
                name, _, _ = text.partition(b"=")
                hint = self._suggestion(name, ["target", *map(decoded, PARAMETERS)])
                self._error(token.at, text, "unknown parameter", f"unknown parameter {shown(name)}", hint)
            case DiskForm.PREFIX:
                self._prefix(token)
            case DiskForm.UNKNOWN_PREFIX:
                message = f"unknown prefix of a target: {shown(text)}"
                hint = "write target= before a target that has a colon"
                self._error(token.at, text, "unknown deprecated disk prefix", message, hint)
                return False
            case DiskForm.POSITIONAL:
                return self._positional(token)
            case DiskForm.BAD:
                return self._bad(token)
        return True

    def _parameter(self, token: DiskToken) -> None:
        text = token.text.removesuffix(b",")
        name, _, value = text.partition(b"=")
        at = token.at + len(name) + 1
        match name:
            case b"format":
                self._choose("format", value, _FORMATS, at)
            case b"backendtype":
                self._choose("backend", value, _BACKENDS, at, called="backendtype")
            case b"specification":
                self._choose("specification", value, _SPECIFICATIONS, at)
            case b"access":
                self._access(value, at)
            case b"devtype" if value in (b"cdrom", b"disk"):
                self._fields["is_cdrom"] = int(value == b"cdrom")
            case b"devtype":
                message = f"unknown devtype: {shown(value)}"
                self._error(at, token.text, "unknown value for type", message, "write cdrom or disk")
            case b"colo-port":
                self._colo_port(value, at)
            case b"backend":
                self._save("backend", "backend_domname", value, at)
            case _:
                self._save(decoded(name), decoded(name).replace("-", "_"), value, at)

    def _target(self, token: DiskToken) -> None:
        value = token.text.removesuffix(b",").partition(b"=")[2]
        at = token.at + len("target=")
        if swallowed := _SWALLOWED.search(value):
            self._item.warn(
                at + swallowed.start(),
                "the target goes on to the end of the item: what looks like a parameter here is a part of it",
                "write target= last",
            )
        self._save("target", "pdev_path", value, at)

    def _prefix(self, token: DiskToken) -> None:
        word = token.text[:-1]
        self._prefixed = True
        if word in _SCRIPTS:
            hint = f"write script=block-{decoded(word)}"
            self._save("script", "script", b"block-" + word, token.at)
        elif word in _FORMATS:
            hint = f"write format={decoded(word)}"
            self._choose("format", word, _FORMATS, token.at)
        else:
            hint = "leave it out: it has no effect but that no part without a name is the format"
        self._item.warn(token.at, f"the prefix {decoded(token.text)} is deprecated", hint)

    def _positional(self, token: DiskToken) -> bool:
        """Put a part without a name into the first slot that is free."""
        text = token.text.removesuffix(b",")
        fields = self._fields
        if self._errors:
            return True
        if "pdev_path" not in fields:
            if not self._trust_flags and text in TRUST_FLAGS:
                self._item.warn(token.at, f"{decoded(text)} is taken for the target", _NO_TRUST_FLAGS)
            self._save("target", "pdev_path", text, token.at)
        elif not self._prefixed and "format" not in fields:
            if not fields["pdev_path"] and self._device_and_type(text, token.at):
                fields["format"] = DiskFormat.EMPTY
            else:
                self._choose("format", text, _FORMATS, token.at)
        elif "vdev" not in fields:
            if not self._device_and_type(text, token.at):
                self._save("vdev", "vdev", text, token.at)
        elif not self._access_given:
            self._access_given = True
            self._access(text, token.at)
        else:
            message = f"one part without a name too many: {shown(text)}"
            hint = _NO_TRUST_FLAGS if text in TRUST_FLAGS else _ORDER
            self._error(token.at, text, "too many positional parameters", message, hint)
            return False
        return True

    def _bad(self, token: DiskToken) -> bool:
        if token.at + 1 == len(self._item.value):
            self._item.warn(token.at, "xl overlooks a = at the end of a disk", "remove it")
            return True
        message = f"not a parameter of a disk: {shown(token.text)}"
        if token.text == b"=":
            # Here xl's scanner fails, at the newline that comes next.
            self._errors.append((token.at, message, "write name=value"))
            self._words.append(b"flex scanner jammed\n")
            self._status = _JAMMED
            return False
        self._error(token.at, token.text, "bad disk syntax", message, "write name=value")
        return False

    def _device_and_type(self, text: bytes, at: int) -> bool:
        """Read `hdc:cdrom`. Gives False, and does nothing, if there is no colon."""
        vdev, colon, kind = text.rpartition(b":")
        if not colon:
            return False
        self._save("vdev", "vdev", vdev, at)
        at += len(vdev) + 1
        if kind in (b"cdrom", b"disk"):
            self._fields["is_cdrom"] = int(kind == b"cdrom")
            hint = f"write devtype={decoded(kind)}"
            self._item.warn(at, f"the type {decoded(kind)} after a colon is deprecated", hint)
        else:
            message = f"unknown type of disk: {shown(kind)}"
            self._error(at, kind, "unknown deprecated type", message, "write devtype=cdrom or devtype=disk")
        return True

    def _save(self, called: str, name: str, value: bytes, at: int) -> None:
        """Set a text that is not set yet, or empty."""
        if self._fields.get(name):
            self._respecified(called, value, at)
            return
        self._fields[name] = decoded(value)
        if value.endswith((b" ", b"\t", b"\n")):
            self._item.warn(at + len(value) - 1, f"{called} ends with a blank, which is a part of it")

    def _choose(
        self, name: str, value: bytes, members: Mapping[bytes, Enumeration], at: int, *, called: str = ""
    ) -> None:
        """Set an enumeration that has no other value yet."""
        chosen = members.get(value)
        called = called or name
        if chosen is None:
            hint = self._suggestion(value, [decoded(word) for word in members if word])
            message = f"unknown {called} of a disk: {shown(value)}"
            self._error(at, value, f"unknown value for {called}", message, hint)
        elif self._fields.setdefault(name, chosen) != chosen:
            self._respecified(name, value, at)

    def _access(self, value: bytes, at: int) -> None:
        access = _ACCESSES.get(value)
        if access is None:
            message, hint = f"unknown access to a disk: {shown(value)}", "write ro or rw"
            if self._prefixed:
                hint += "; after a deprecated prefix no part without a name is the format"
            self._error(at, value, "unknown value for access", message, hint)
        else:
            self._fields["readwrite"] = access

    def _colo_port(self, value: bytes, at: int) -> None:
        port, _ = atoi(value)
        if port:
            self._fields["colo_port"] = port
        else:
            message = f"not a port: {shown(value)}"
            self._error(at, value, "unknown value for colo_port", message, "write a number that is not 0")

    def _finish(self) -> None:
        fields = self._fields
        fields.setdefault("format", DiskFormat.RAW)
        if fields.get("is_cdrom"):
            fields["removable"] = 1
            fields["readwrite"] = 0
            if not fields.get("pdev_path"):
                fields["format"] = DiskFormat.EMPTY
        if "vdev" not in fields:
            hint = f"add vdev=, such as vdev=xvda; {_ORDER}"
            self._error(0, None, "no vdev specified", "a disk without a vdev", hint)
        elif "pdev_path" not in fields and not fields.get("removable"):
            what = "no target specified (and device not removable)"
            self._error(0, None, what, "a disk without a target", "add target=, the device or file behind it")

    def _respecified(self, called: str, value: bytes, at: int) -> None:
        hint = _ORDER
        if self._fields.get("pdev_path") in ("trusted", "untrusted"):
            hint = _NO_TRUST_FLAGS
        self._error(at, value, f"{called} respecified", f"{called} is given again: {shown(value)}", hint)

    def _suggestion(self, word: bytes, words: list[str]) -> str | None:
        if len(self._errors) >= MAX_DIAGNOSTICS:
            return None
        return self._item.suggestion(Severity.ERROR, word, words)

    def _error(self, at: int, near: bytes | None, what: str, message: str, hint: str | None) -> None:
        """Note an error: xl's words about it, and ours."""
        self._errors.append((at, message, hint))
        if self._room <= 0:
            return
        where = b"" if near is None else b": near `%s'" % near
        words = b"%s: config parsing error in disk specification: %s%s in `%s'\n" % (
            self._source,
            what.encode(),
            where,
            self._item.value,
        )
        self._words.append(words)
        self._room -= len(words)
