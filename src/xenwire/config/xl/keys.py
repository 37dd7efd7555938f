"""The keys of xl.cfg, for what is told about those that a file has, and for the manual."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from xenwire.config.diagnostics import Report, Severity, shown
from xenwire.config.libxl.struct import Release
from xenwire.config.libxl.version import XenVersion
from xenwire.config.parser import Setting
from xenwire.config.xl.deprecated import DEPRECATED
from xenwire.config.xl.domain import KEYS

__all__ = ["DEPRECATED", "KEYS", "LATER", "suggestion", "warn_of_unknown"]

LATER: Final[dict[str, Release]] = {
    "bootloader_restrict": (4, 18),
    "bootloader_user": (4, 18),
    "smbios": (4, 18),
    "sve": (4, 18),
    "virtio": (4, 18),
    "hvm_pirq": (4, 19),
    "nr_spis": (4, 19),
    "llc_colors": (4, 20),
    "altp2m_count": (4, 21),
    "arm_sci": (4, 21),
    "trap_unmapped_accesses": (4, 21),
    "xen_platform_pci_bar_uc": (4, 21),
    "xenstore_feature_mask": (4, 21),
    "xenstore_quota": (4, 22),
}
"""The keys that came after Xen 4.17, with their first releases. They are not read."""

_LONGEST: Final = 2 * max(map(len, KEYS))


def suggestion(key: str) -> str | None:
    """Give the known key that `key` was perhaps meant to be."""
    if len(key) > _LONGEST:
        return None
    import difflib  # slow to load, and only needed where something is wrong

    return next(iter(difflib.get_close_matches(key, KEYS, n=1, cutoff=0.7)), None)


def warn_of_unknown(settings: Mapping[str, Setting], version: XenVersion, report: Report) -> frozenset[str]:
    """Warn of the keys that xl does not know, which it ignores without a word. Gives them."""
    unknown = settings.keys() - KEYS.keys()
    for key in sorted(unknown):
        release = LATER.get(key)
        hint = None
        if release is not None:
            message = f"{key} is not read"
            if version < release:
                hint = "it came with Xen {}.{}".format(*release)
        else:
            message = f"xl does not know {shown(key.encode())}"
            near = None if report.full(Severity.WARNING) else suggestion(key)
            if near is not None:
                hint = f"did you mean {near}?"
        report.warn(settings[key].key_start, message, hint)
    return frozenset(unknown)
