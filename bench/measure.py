"""Measuring two things by turns, so that what disturbs the machine disturbs both."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Sample:
    """Seconds that runs of one thing took."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def __str__(self) -> str:
        low, _, high = (1000 * each for each in statistics.quantiles(self.seconds, n=4))
        return f"{self.median * 1000:8.1f} ms  (quartiles {low:.1f} to {high:.1f})"


def alternate(runs: int, *things: Callable[[], float]) -> list[Sample]:
    """Run each thing `runs` times by turns, after one turn that does not count."""
    turns = [[thing() for thing in things] for _ in range(runs + 1)][1:]
    return [Sample(times) for times in zip(*turns, strict=True)]


def command(argv: Sequence[str], env: Mapping[str, str]) -> Callable[[], float]:
    """Give a thing that runs a command to its end, its output thrown away."""

    def run() -> float:
        start = time.perf_counter()
        subprocess.run(argv, env=env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return time.perf_counter() - start

    return run


def show(title: str, ours: Sample, peer_name: str, peer: Sample, limit: float) -> None:
    """Print a comparison and its target."""
    ratio = ours.median / peer.median
    print(f"{title}\n  ours         {ours}\n  {peer_name:12} {peer}")
    verdict = "met" if ratio <= limit else "MISSED"
    print(f"  ratio        {ratio:.2f}, target at most {limit:g}: {verdict}\n", flush=True)
