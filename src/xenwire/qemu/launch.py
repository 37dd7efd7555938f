"""What a QEMU is started with, gathered by those who know a part of it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

__all__ = ["Launch"]


@dataclass(slots=True)
class Launch:
    """Arguments, and descriptors that QEMU inherits under the same numbers."""

    arguments: list[str] = field(default_factory=list)
    fds: list[int] = field(default_factory=list)

    def close(self) -> None:
        """Close our copies of the descriptors; again is fine."""
        while self.fds:
            os.close(self.fds.pop())
