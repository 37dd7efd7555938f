"""A typed configuration as the text of an xl.cfg, and what a real xl would not make of it. Pure."""

from __future__ import annotations

import json
from collections.abc import Container, Iterator
from typing import Any, Final

from xenwire.config.compare import Difference, compare
from xenwire.config.diagnostics import ConfigError, Diagnostic, Severity
from xenwire.config.libxl.types import DomainConfig
from xenwire.config.render.keys import GROUPS
from xenwire.config.render.rows import Sheet
from xenwire.config.render.text import setting
from xenwire.config.xl.config import parse_config
from xenwire.config.xl.facts import HostFacts

__all__ = ["losses", "render"]

_STOCK: Final = HostFacts()
_XL_CONF: Final = ("c_info.run_hotplug_scripts", "b_info.claim_mode")
"""What libxl may decide where a configuration does not, and for xl its own settings do. So it is with the
numbers of domains and devices.
"""
_LONGEST: Final = 60
"""The characters of a value that a message shows."""


def render(config: DomainConfig, facts: HostFacts = _STOCK, *, only: Container[str] | None = None) -> bytes:
    """Give the text of an xl.cfg of which the xl of a host makes this configuration.

    Keys come in groups, each device has a line, and what is as xl has it by default is left out. So is what
    this xl has no words for: see `losses`. `only` these keys; None: all.
    """
    sheet = Sheet(config, facts)
    groups: list[str] = []
    for heading, rows in GROUPS:
        lines = [
            setting(row.key, value)
            for row in rows
            if (only is None or row.key in only)
            and (row.guests is None or sheet.type in row.guests)
            and (value := row.value(sheet)) is not None
        ]
        if lines:
            groups.append(f"# {heading}\n{''.join(lines)}")
    return "\n".join(groups).encode("utf-8", "surrogateescape")


def losses(config: DomainConfig, source: str, facts: HostFacts = _STOCK) -> tuple[Diagnostic, ...]:
    """Tell what the xl of a host would not make of the text that `render` gives; `source` is its name.

    It is found out by reading the text as that xl does: what xl says of it, and what differs then.
    """
    try:
        parsed = parse_config(render(config, facts), source, facts)
    except ConfigError as error:
        return error.diagnostics
    return (
        *parsed.warnings,
        *(
            Diagnostic(Severity.WARNING, source, None, None, "", 0, message)
            for message in _differences(compare(config, parsed.config))
        ),
    )


def _differences(found: list[Difference]) -> Iterator[str]:
    for difference in found:
        path, before, after = difference.path, difference.before, difference.after
        if path == "c_info.domid" or (before is None and (path.endswith(".devid") or path in _XL_CONF)):
            continue
        if before is None:
            yield f"{path}: xl makes it {_shown(after)}"
        elif after is None:
            yield f"{path}: xl.cfg cannot say {_shown(before)}"
        else:
            yield f"{path}: {_shown(before)} becomes {_shown(after)}"


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
