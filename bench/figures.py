"""Figures of several runs: printed with their spread, and beside what they are to reach."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def spread(values: Sequence[float], unit: str) -> str:
    """Give the median and the quartiles."""
    if len(values) == 1:
        return f"{values[0]:10,.1f} {unit}"
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:10,.1f} {unit}  (quartiles {low:,.1f} to {high:,.1f})"


def show_speeds(
    title: str, unit: str, ours: Sequence[float], peer_name: str, peer: Sequence[float], least: float
) -> None:
    """Print two speeds, and how many times the peer's ours is at the medians."""
    ratio = statistics.median(ours) / statistics.median(peer)
    print(f"{title}\n  {'ours':14}{spread(ours, unit)}\n  {peer_name:14}{spread(peer, unit)}")
    print(
        f"  {'ratio':14}{ratio:10,.2f}, target at least {least:g}: {_verdict(ratio >= least)}\n", flush=True
    )


def show_most(title: str, figure: float, unit: str, most: float, detail: str) -> None:
    """Print a figure of which less is better."""
    print(f"{title}\n  {detail}")
    print(
        f"  {f'{figure:,.1f} {unit}'.rstrip()}, target at most {most:g}: {_verdict(figure <= most)}\n",
        flush=True,
    )


def _verdict(met: bool) -> str:
    return "met" if met else "MISSED"
