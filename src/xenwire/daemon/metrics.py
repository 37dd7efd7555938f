"""Statistics in the text format that Prometheus reads, version 0.0.4.

(prometheus: docs, "Exposition formats")
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable
from typing import Final

from xenwire import __version__
from xenwire.channels.statistics import ChannelStatistics

__all__ = ["CONTENT_TYPE", "metrics"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_Sample = Callable[[ChannelStatistics], int | None]

_OF_CHANNELS: Final[tuple[tuple[str, str, str, _Sample], ...]] = (
    ("from_guest_bytes_total", "counter", "Bytes that came from the guest.", lambda c: c.from_guest),
    ("delivered_bytes_total", "counter", "Bytes of the guest's that a consumer has.", lambda c: c.delivered),
    ("dropped_bytes_total", "counter", "Bytes of the guest's that nobody took in time.", lambda c: c.dropped),
    ("waiting_bytes", "gauge", "Bytes of the guest's that are kept for a consumer.", lambda c: c.waiting),
    ("to_guest_bytes_total", "counter", "Bytes that the guest was given.", lambda c: c.to_guest),
    ("clients", "gauge", "Clients of the socket.", lambda c: c.clients),
    ("clients_sent_away_total", "counter", "Clients that were too slow.", lambda c: c.sent_away),
    ("generations_total", "counter", "Times that the guest's end began anew.", lambda c: c.generation),
    ("joined", "gauge", "Whether the guest's end is there.", lambda c: c.joined),
    ("failed", "gauge", "Whether it, or its guest's end, is not served.", lambda c: c.error is not None),
)
"""Name, type, help, and value of the metrics that each channel has, unless its value is not known."""


def metrics(channels: Iterable[ChannelStatistics]) -> str:
    """Give all metrics as text. A channel's labels are domid, devid, name and kind."""
    labelled = [(_labels(c), c) for c in channels]
    failed = sum(c.error is not None for _, c in labelled)
    build = f'version="{_escaped(__version__)}",python="{_escaped(platform.python_version())}"'
    lines = [
        *_head("xenwire_build_info", "gauge", "What this process is made of."),
        f"xenwire_build_info{{{build}}} 1",
        *_head("xenwire_channels_served", "gauge", "Channels that are served."),
        f"xenwire_channels_served {len(labelled) - failed}",
        *_head("xenwire_channels_failed", "gauge", "Channels that cannot be served."),
        f"xenwire_channels_failed {failed}",
    ]
    for word, type_, help_, value in _OF_CHANNELS:
        name = f"xenwire_channel_{word}"
        samples = [
            f"{name}{{{labels}}} {int(number)}" for labels, c in labelled if (number := value(c)) is not None
        ]
        if samples:
            lines += [*_head(name, type_, help_), *samples]
    return "\n".join(lines) + "\n"


def _head(name: str, type_: str, help_: str) -> tuple[str, str]:
    return f"# HELP {name} {help_}", f"# TYPE {name} {type_}"


def _labels(c: ChannelStatistics) -> str:
    return (
        f'domid="{c.domid}",devid="{c.devid}",name="{_escaped(c.name or "")}",kind="{_escaped(c.kind or "")}"'
    )


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
