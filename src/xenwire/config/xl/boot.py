"""What a domain boots (xen: tools/xl/xl_parse.c, from kernel to nestedhvm, and firmware of PV and PVH)."""

from __future__ import annotations

import re
from typing import Final

from xenwire.config.diagnostics import shown
from xenwire.config.libxl.types import DomainType, TimerMode
from xenwire.config.parser import Text
from xenwire.config.xl.reader import decoded
from xenwire.config.xl.rows import Draft, Part, boolean, choose_or_number, function, only, text

__all__ = ["FIRMWARE", "ROWS"]

_BLANKS: Final = re.compile(rb"[ \t\n]+")


def _cmdline(draft: Draft) -> None:
    reader = draft.reader
    cmdline, root, extra = reader.text("cmdline"), reader.text("root"), reader.text("extra")
    if cmdline is None:
        words = [] if root is None else [f"root={root}"]
        words += [] if extra is None else [extra]
        cmdline = " ".join(words) if words else None
    elif root is not None or extra is not None:
        draft.warn(
            "root" if root is not None else "extra",
            "root and extra do not count beside cmdline",
            xl=b"Warning: ignoring root= and extra= in favour of cmdline=\n",
            at_key=True,
        )
    if cmdline is not None:
        draft.parts[Part.B_INFO]["cmdline"] = cmdline


def _bootloader_args(draft: Draft) -> None:
    value = draft.reader.value("bootloader_args")
    if isinstance(value, Text):
        draft.warn(
            "bootloader_args",
            "bootloader_args as one text is deprecated",
            "write a list: [ … ]",
            xl=b'WARNING: Specifying "bootloader_args" as a string is deprecated. '
            b"Please use a list of arguments.\n",
        )
        words = tuple(decoded(word) for word in _BLANKS.split(value.value) if word)
        if not words:
            draft.refuse("bootloader_args", "bootloader_args is empty", "xl crashes on it", status=-11)
    else:
        words = tuple(decoded(item.value) for item in draft.reader.texts("bootloader_args") or ())
    draft.parts[Part.B_INFO]["bootloader_args"] = words


def _timer_mode(draft: Draft) -> None:
    if draft.type is not DomainType.PV:
        mode = choose_or_number(draft, "timer_mode", TimerMode, deprecated=True)
        if mode is not None:
            draft.parts[Part.B_INFO]["timer_mode"] = mode
    elif draft.reader.single("timer_mode") is not None:
        draft.refuse(
            "timer_mode",
            "a PV guest has no timer_mode",
            "remove it",
            xl=b'ERROR: "timer_mode" option is not supported for PV guests.\n',
            status=3,
        )


def _firmware(draft: Draft) -> None:
    """Read the firmware of a guest that has none of its own: a program in the place of its kernel."""
    build = draft.parts[Part.B_INFO]
    value = draft.reader.single("firmware")
    if value is not None:
        if "kernel" in build:
            draft.refuse(
                "firmware",
                f"{draft.guest()} boots either kernel or firmware",
                "remove one of them",
                xl=b"ERROR: both kernel and firmware specified\n",
            )
        elif not b"pvgrub32".startswith(value.value) and not b"pvgrub64".startswith(value.value):
            draft.refuse(
                "firmware",
                f'{draft.guest()} has no firmware "{shown(value.value)}"',
                "xl knows pvgrub32, pvgrub64",
                xl=b"ERROR: only pvgrub{32|64} supported as firmware options\n",
            )
        else:
            build["kernel"] = f"{draft.reader.facts.firmware}/{decoded(value.value)}.bin"
    elif "kernel" not in build and "bootloader" not in build:
        draft.refuse(
            "kernel",
            f"{draft.guest()} needs something to boot",
            'add kernel = "…", bootloader = "…" or firmware = "pvgrub64"',
            xl=b"Neither kernel nor bootloader specified\n",
        )


ROWS: Final = (
    text("kernel", Part.B_INFO),
    text("ramdisk", Part.B_INFO),
    text("device_tree", Part.B_INFO),
    function(_cmdline, cmdline="T", root="T", extra="T"),
    boolean("driver_domain", Part.C_INFO),
    boolean("acpi", Part.B_INFO),
    text("bootloader", Part.B_INFO),
    function(_bootloader_args, bootloader_args="LT"),
    function(_timer_mode, timer_mode="NT"),
    boolean("nestedhvm", Part.B_INFO, "nested_hvm"),
)

FIRMWARE: Final = only(DomainType.PV, DomainType.PVH)(function(_firmware, firmware="T", always=True))
