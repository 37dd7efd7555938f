"""Xenwire: device models and private wires for virtual machines, over Xenstore.

    async with xenwire.connect() as host:
        config = xenwire.parse_config(text, "guest.cfg").config
        domain = await host.create(config, text=text)
        for channel in await domain.channels():
            print(channel.name, channel.kind, channel.place)

Names are imported when they are first asked for.
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False  # spelled out, since importing `typing` costs a third of `xenwire --version`
if TYPE_CHECKING:
    from typing import Any, Final

    from xenwire.channels.keys import Channel
    from xenwire.config import DomainConfig, parse_config
    from xenwire.devicemodel.toolstack import DeviceModel
    from xenwire.errors import XenwireError
    from xenwire.hosts import Domain, DomainInfo, DomainState, Host, connect
    from xenwire.types import ChannelKind

__version__ = "0.1.0"

__all__ = [
    "Channel",
    "ChannelKind",
    "DeviceModel",
    "Domain",
    "DomainConfig",
    "DomainInfo",
    "DomainState",
    "Host",
    "XenwireError",
    "connect",
    "parse_config",
]

_MODULES: Final = {
    "Channel": "xenwire.channels.keys",
    "ChannelKind": "xenwire.types",
    "DeviceModel": "xenwire.devicemodel.toolstack",
    "DomainConfig": "xenwire.config",
    "XenwireError": "xenwire.errors",
    "parse_config": "xenwire.config",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'xenwire' has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES.get(name, "xenwire.hosts")), name)
