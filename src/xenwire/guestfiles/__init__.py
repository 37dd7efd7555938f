"""Files for a guest: udev's rule that names its channels, units of systemd's, and a script.

But for xenwire-guest.service, they serve a guest that has no Xenwire.
"""

from __future__ import annotations

from importlib import resources
from types import MappingProxyType
from typing import Final

__all__ = ["PLACES", "read"]

_UNITS: Final = "etc/systemd/system"

PLACES: Final = MappingProxyType(
    {
        "60-xenwire-channels.rules": "etc/udev/rules.d",
        "xenwire-channel@.service": _UNITS,
        "xenwire-guest.service": _UNITS,
        "xenwire-guest-agent.service": _UNITS,
        "xenwire-seed": "usr/local/sbin",
        "xenwire-seed.service": _UNITS,
    }
)
"""Their names, and the folder in the guest that each belongs into, relative to its root."""


def read(name: str) -> bytes:
    """Give the content of a file of `PLACES`."""
    return resources.files(__name__).joinpath(name).read_bytes()
