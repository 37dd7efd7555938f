"""How long to wait before a transaction that met a conflict is tried again."""

from __future__ import annotations

import random

__all__ = ["pause"]


def pause(attempt: int) -> float:
    """Give the seconds to wait after the `attempt`th conflict: a random part of 2 ms, 4 ms … 0.1 s.

    The randomness keeps two clients from meeting again and again.
    """
    return random.uniform(0, min(0.1, 0.001 * 2 ** min(attempt, 10)))  # noqa: S311 - spreads clients, no secret
