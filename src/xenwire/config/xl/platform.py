"""How the machine behaves that a domain sees: its ends, what it gets passed through, its clocks
(xen: tools/xl/xl_parse.c, from on_poweroff to max_event_channels).
"""

from __future__ import annotations

from typing import Final

from xenwire.config.diagnostics import shown
from xenwire.config.libxl.types import (
    ActionOnShutdown,
    DomainType,
    Passthrough,
    TscMode,
)
from xenwire.config.numbers import uint32
from xenwire.config.parser import Text
from xenwire.config.xl.deprecated import DEPRECATED
from xenwire.config.xl.devices.pci import read_dtdevs, read_pci_defaults, read_pcis
from xenwire.config.xl.rdm import read_rdm
from xenwire.config.xl.rows import (
    Draft,
    Part,
    Row,
    boolean,
    choice,
    choose_or_number,
    function,
    mebibytes,
    only,
    unsigned,
)

__all__ = ["ROWS"]

_ACTIONS: Final = {
    b"destroy": ActionOnShutdown.DESTROY,
    b"restart": ActionOnShutdown.RESTART,
    b"rename-restart": ActionOnShutdown.RESTART_RENAME,
    b"preserve": ActionOnShutdown.PRESERVE,
    b"coredump-destroy": ActionOnShutdown.COREDUMP_DESTROY,
    b"coredump-restart": ActionOnShutdown.COREDUMP_RESTART,
    b"soft-reset": ActionOnShutdown.SOFT_RESET,
}


def _action(key: str, default: ActionOnShutdown) -> Row:
    """Give a row for what is done when the domain ends. xl's defaults are its own, not libxl's."""

    def read(draft: Draft) -> None:
        value = draft.reader.single(key)
        action = default if value is None else _ACTIONS.get(value.value)
        if action is not None:
            draft.parts[Part.CONFIG][key] = action
        elif value is not None:
            draft.refuse(
                key,
                f'{key} cannot be "{shown(value.value)}"',
                f"xl knows {b', '.join(_ACTIONS).decode()}",
                xl=b'Unknown %s action "%s" specified\n' % (key.encode(), value.value),
            )

    return Row({key: "T"}, read, always=True)


def _pci_defaults(draft: Draft) -> None:
    draft.pci_defaults = read_pci_defaults(draft.reader)


def _pci(draft: Draft) -> None:
    config = draft.parts[Part.CONFIG]
    config["pcidevs"] = read_pcis(draft.reader, draft.pci_defaults, hvm=draft.type is DomainType.HVM)
    if config["pcidevs"] and draft.type is DomainType.PV:
        draft.parts[Part.GUEST]["e820_host"] = True


def _dtdev(draft: Draft) -> None:
    draft.parts[Part.CONFIG]["dtdevs"] = read_dtdevs(draft.reader)


def _tsc_mode(draft: Draft) -> None:
    reader = draft.reader
    value = reader.value("tsc_mode")
    if isinstance(value, Text) and reader.try_number("tsc_mode") is None and reader.facts.version < (4, 19):
        reader.report.xl_prints(b'got a tsc mode string: "%s"\n' % value.value)
    mode = choose_or_number(draft, "tsc_mode", TscMode, deprecated=True)
    if mode is not None:
        draft.parts[Part.B_INFO]["tsc_mode"] = mode


def _rtc_timeoffset(draft: Draft) -> None:
    seconds = draft.reader.number("rtc_timeoffset")
    if seconds is None:
        return
    if not -(2**31) <= seconds < 2**32:
        draft.warn("rtc_timeoffset", f"rtc_timeoffset = {seconds} does not fit")
    draft.parts[Part.B_INFO]["rtc_timeoffset"] = uint32(seconds)


def _vncviewer(draft: Draft) -> None:
    if draft.reader.number("vncviewer") is not None:
        draft.warn(
            "vncviewer",
            "xl ignores vncviewer",
            DEPRECATED["vncviewer"],
            xl=b'WARNING: ignoring "vncviewer" option. '
            b'Use "-V" option of "xl create" to automatically spawn vncviewer.\n',
            at_key=True,
        )


ROWS: Final = (
    _action("on_poweroff", ActionOnShutdown.DESTROY),
    _action("on_reboot", ActionOnShutdown.RESTART),
    _action("on_watchdog", ActionOnShutdown.DESTROY),
    _action("on_crash", ActionOnShutdown.DESTROY),
    _action("on_soft_reset", ActionOnShutdown.SOFT_RESET),
    *only(DomainType.PV)(boolean("e820_host", Part.GUEST)),
    function(_pci_defaults, pci_msitranslate="N", pci_power_mgmt="N", pci_permissive="N", pci_seize="N"),
    function(read_rdm, rdm="T"),
    function(_pci, pci="L"),
    function(_dtdev, dtdev="L"),
    choice("passthrough", Part.C_INFO, Passthrough, b"ERROR: unknown passthrough option '%s'\n"),
    mebibytes("shadow_memory", Part.B_INFO, "shadow_memkb"),
    boolean("nomigrate", Part.B_INFO, "disable_migrate"),
    function(_tsc_mode, tsc_mode="NT"),
    function(_rtc_timeoffset, rtc_timeoffset="N"),
    function(_vncviewer, vncviewer="N"),
    boolean("localtime", Part.B_INFO),
    mebibytes("videoram", Part.B_INFO, "video_memkb"),
    unsigned("max_event_channels", Part.B_INFO, "event_channels"),
)
