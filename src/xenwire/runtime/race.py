"""Waiting for one thing, unless another comes first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

__all__ = ["before"]


async def before(wanted: Awaitable[Any], other: Awaitable[Any]) -> bool:
    """Wait until one of two is done, then cancel the other: True if `wanted` is, raising what it raised.

    Where both are done at once, `wanted` counts.
    """
    tasks = first, second = asyncio.ensure_future(wanted), asyncio.ensure_future(other)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if first.done():
            await first
            return True
        await second
        return False
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
