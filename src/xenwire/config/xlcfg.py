"""The meaning of xl.cfg's keys: text in, a DomainConfig and warnings out (xl.cfg(5), Xen 4.17)."""

from __future__ import annotations

import re
import uuid as uuids
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from xenwire.config import keys
from xenwire.config.channel import parse_channel
from xenwire.config.diagnostics import Diagnostic, Report, Severity, shown
from xenwire.config.domain import (
    DEFAULT_MEMORY,
    DEFAULT_VCPUS,
    MAX_MEMORY,
    MAX_VCPUS,
    ChannelConfig,
    DomainConfig,
)
from xenwire.config.parser import Setting, parse_settings
from xenwire.config.values import Values

__all__ = ["MAX_SIZE", "ParsedConfig", "parse_config"]

MAX_SIZE: Final = 1 << 20
"""Bytes: a larger configuration is refused. Real ones have a few thousand."""

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True, slots=True)
class ParsedConfig:
    """A configuration that can be used, and what its author should know about it."""

    config: DomainConfig
    warnings: tuple[Diagnostic, ...]


def parse_config(data: bytes, source: str) -> ParsedConfig:
    """Read an xl.cfg. `source` is the file's name for messages; nothing is opened.

    Raises ConfigError with all diagnostics if there is an error in it.
    """
    report = Report(source, data)
    if len(data) > MAX_SIZE:
        report.error(None, f"the file is too large: {len(data)} bytes", f"at most {MAX_SIZE} are read")
        raise report.failure()
    settings = parse_settings(data, report)
    config = _domain(settings, report)
    _note_keys(settings, report)
    if config is None or report.failed:
        raise report.failure()
    return ParsedConfig(config, report.diagnostics())


def _domain(settings: Mapping[str, Setting], report: Report) -> DomainConfig | None:
    """Read the keys that a host acts on. None after an error."""
    values = Values(settings, report)
    name = values.text("name")
    if not name and not report.failed:
        report.error(values.place("name"), "the domain has no name", 'add name = "…"')
    memory = values.number("memory", 1, MAX_MEMORY)
    vcpus = values.number("vcpus", 1, MAX_VCPUS)
    uuid = _uuid(values, report)
    kernel, ramdisk = values.text("kernel"), values.text("ramdisk")
    cmdline = _cmdline(values, report)
    serial = values.text_or_texts("serial")
    channels = _channels(values, report)
    if report.failed or not name:
        return None
    return DomainConfig(
        name=name,
        uuid=uuid,
        memory=DEFAULT_MEMORY if memory is None else memory,
        vcpus=DEFAULT_VCPUS if vcpus is None else vcpus,
        kernel=kernel,
        ramdisk=ramdisk,
        cmdline=cmdline,
        serial=serial,
        channels=channels,
    )


def _uuid(values: Values, report: Report) -> uuids.UUID | None:
    text = values.text("uuid")
    if text is None:
        return None
    if not _UUID.fullmatch(text):
        report.error(
            values.place("uuid"),
            "not a UUID",
            "it has 32 hexadecimal digits, such as 01234567-89ab-cdef-0123-456789abcdef",
        )
        return None
    return uuids.UUID(text)


def _cmdline(values: Values, report: Report) -> str | None:
    """Compose the kernel's command line: `cmdline`, else `root` and `extra`."""
    cmdline, root, extra = values.text("cmdline"), values.text("root"), values.text("extra")
    if cmdline is not None:
        for key, value in (("root", root), ("extra", extra)):
            if value is not None:
                report.warn(values.place(key), f"{key} is ignored in favour of cmdline")
        return cmdline
    if root is None:
        return extra
    return f"root={root}" if extra is None else f"root={root} {extra}"


def _channels(values: Values, report: Report) -> tuple[ChannelConfig, ...]:
    channels: dict[str, ChannelConfig] = {}
    for item in values.texts("channel"):
        channel = parse_channel(item, report)
        if channel is None:
            continue
        if channel.name in channels:
            report.error(
                item.start,
                f"a second channel has the name {channel.name}",
                "the guest finds a channel by its name",
            )
        channels[channel.name] = channel
    return tuple(channels.values())


def _note_keys(settings: Mapping[str, Setting], report: Report) -> None:
    """Warn about keys that have no effect."""
    for key, setting in settings.items():
        if key in keys.DEPRECATED:
            report.warn(setting.key_start, f"{key} is deprecated", keys.DEPRECATED[key])
        elif key not in keys.KNOWN:
            close = None if report.full(Severity.WARNING) else keys.suggestion(key)
            hint = f"did you mean {close}?" if close else "xl ignores it, too"
            report.warn(setting.key_start, f"unknown key {shown(key.encode())}", hint)
        elif key not in keys.USED:
            report.warn(setting.key_start, f"{key} is known to xl, but not used by this host")
