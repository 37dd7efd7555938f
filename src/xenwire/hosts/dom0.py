"""Whether this is the dom0 of a Xen host."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from xenwire.errors import Denied, Unreachable, XenwireError
from xenwire.xenstore.address import DEVICE

__all__ = ["refusal"]

_FEATURES: Final = Path("/sys/hypervisor/properties/features")
_DOM0: Final = 1 << 11  # XENFEAT_dom0 (xen: xen/include/public/features.h)


def refusal(features: Path = _FEATURES, device: Path = DEVICE) -> XenwireError | None:
    """Say why domains of a Xen host cannot be managed from here; None if they can.

    Xen tells every domain what it may do (`features`, a hexadecimal number); a guest has the device too.
    """
    message = "this is not the dom0 of a Xen host"
    hint = "boot Xen and run this in its dom0, or use plain QEMU: --host qemu:"
    try:
        is_dom0 = int(features.read_text(), 16) & _DOM0
    except (OSError, ValueError):
        return Unreachable(message, reason="no Xen runs below this system", hint=hint)
    if not is_dom0:
        return Unreachable(message, reason="Xen says that this domain is a guest", hint=hint)
    if not device.exists():
        return Unreachable("this dom0 cannot reach its store", reason=f"there is no {device}")
    if not os.access(device, os.R_OK | os.W_OK):
        return Denied("no access to the domains of this Xen host", reason=f"{device} is root's alone")
    return None
