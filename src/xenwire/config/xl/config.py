"""A configuration in xl's language: to a domain, or to the words that xl itself has for it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from xenwire.config.diagnostics import Diagnostic
from xenwire.config.libxl.types import DomainConfig
from xenwire.config.xl.domain import read_domain
from xenwire.config.xl.facts import HostFacts
from xenwire.config.xl.keys import warn_of_unknown
from xenwire.config.xl.reader import check_size, open_settings
from xenwire.config.xl_syntax import syntax_messages

__all__ = ["ParsedConfig", "Verdict", "parse_config", "with_settings", "xl_verdict"]

_STOCK: Final = HostFacts()


@dataclass(frozen=True, slots=True)
class ParsedConfig:
    """A domain, and what is to be said about its configuration."""

    config: DomainConfig
    warnings: tuple[Diagnostic, ...]
    keys: frozenset[str]
    """The keys that are set."""
    unknown: frozenset[str]
    """Those of them that xl does not know."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `xl create -n` would do with a configuration."""

    words: bytes
    """All that it prints on stderr."""
    status: int
    """Its exit status; the number of the signal, negative, if it crashes."""


def parse_config(data: bytes, source: str, facts: HostFacts = _STOCK) -> ParsedConfig:
    """Read a configuration as the xl of `facts.version` reads it; `source` names it in messages.

    A missing uuid is left out: xl draws a random one. Raises ConfigError, with all errors and warnings, for
    what xl refuses or crashes on.
    """
    reader = open_settings(data, source, facts)
    config = read_domain(reader)
    unknown = warn_of_unknown(reader.settings, facts.version, reader.report)
    if config is None:
        raise reader.report.failure()
    return ParsedConfig(config, reader.report.diagnostics(), frozenset(reader.settings), unknown)


def xl_verdict(data: bytes, source: str, facts: HostFacts = _STOCK, *, quiet: bool = False) -> Verdict:
    """Tell what `xl create -n`, with `quiet` also -q, says about a configuration and how it ends.

    Raises ConfigError for a configuration that is too large.
    """
    check_size(data, source)
    name = os.fsencode(source)
    lines = [] if quiet else [b"Parsing config from %s" % name]
    syntax = syntax_messages(data, name)
    if syntax.messages:
        lines += syntax.messages
        if not syntax.crashes:
            lines.append(b"Failed to parse config: Invalid argument")
        return Verdict(_printed(lines), -signal.SIGABRT if syntax.crashes else 1)
    reader = open_settings(data, source, facts)
    read_domain(reader)
    return Verdict(_printed(lines) + reader.report.xl_words, reader.report.xl_status or 0)


def _printed(lines: list[bytes]) -> bytes:
    return b"".join(b"%s\n" % line for line in lines)


def with_settings(data: bytes, settings: Iterable[str]) -> bytes:
    """Append the settings that `xl create` takes as arguments after the file, each on a line of its own."""
    lines = b"".join(b"%s\n" % os.fsencode(setting) for setting in settings)
    return b"%s\n%s\n" % (data, lines) if lines else data
