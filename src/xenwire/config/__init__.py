"""Domain configuration: xl.cfg, libxl's types and JSON, their IDL. Pure: it opens nothing.

    parsed = parse_config(Path("guest.cfg").read_bytes(), "guest.cfg")
    parsed.config      # DomainConfig: frozen, compared by value, valid by construction
    parsed.warnings    # Diagnostics with file, line, column, the line itself, message, hint

Names are imported when they are first asked for: who needs libxl's types need not load the reader.
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from xenwire.config.diagnostics import ConfigError, Diagnostic, Severity
    from xenwire.config.libxl.types import DomainConfig
    from xenwire.config.xl.config import ParsedConfig, parse_config, with_settings, xl_verdict
    from xenwire.config.xl.facts import HostFacts, XlConf
    from xenwire.config.xl.reader import MAX_SIZE

__all__ = [
    "MAX_SIZE",
    "ConfigError",
    "Diagnostic",
    "DomainConfig",
    "HostFacts",
    "ParsedConfig",
    "Severity",
    "XlConf",
    "parse_config",
    "with_settings",
    "xl_verdict",
]

_MODULES: Final = {
    "MAX_SIZE": "xl.reader",
    "ConfigError": "diagnostics",
    "Diagnostic": "diagnostics",
    "DomainConfig": "libxl.types",
    "HostFacts": "xl.facts",
    "Severity": "diagnostics",
    "XlConf": "xl.facts",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'xenwire.config' has no attribute {name!r}")
    return getattr(importlib.import_module(f"xenwire.config.{_MODULES.get(name, 'xl.config')}"), name)
