"""Domain configuration: xl.cfg text in, typed values and diagnostics out. Opens nothing."""

from xenwire.config.diagnostics import ConfigError, Diagnostic, Severity
from xenwire.config.domain import ChannelConfig, DomainConfig
from xenwire.config.xlcfg import ParsedConfig, parse_config

__all__ = [
    "ChannelConfig",
    "ConfigError",
    "Diagnostic",
    "DomainConfig",
    "ParsedConfig",
    "Severity",
    "parse_config",
]
