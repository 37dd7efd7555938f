"""The only builder of kernels and ramdisks for guests: so far the tiny Linux guest."""

from __future__ import annotations

from xenwire.images.cache import GuestImage, build_tiny_guest, tiny_guest

__all__ = ["GuestImage", "build_tiny_guest", "tiny_guest"]
