"""What a host says of a configuration that it cannot turn into a domain."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from xenwire.errors import Denied, NotFound, UsageError

if TYPE_CHECKING:
    from xenwire.config import DomainConfig

__all__ = ["impossible", "readable"]


def impossible(config: DomainConfig, reason: str, hint: str) -> UsageError:
    """Give the error for what a host cannot do."""
    return UsageError(_message(config), reason=reason, hint=hint)


def readable(
    config: DomainConfig, what: str, path: Path, *, writable: bool, kinds: Iterable[Callable[[], bool]]
) -> None:
    """Refuse a file that is not there, of no wanted kind, or not to be read (or written).

    Raises NotFound or Denied, which name `what` it is for.
    """
    if not path.exists():
        raise NotFound(
            _message(config),
            reason=f"its {what} {path} does not exist",
            hint=f"correct its {what.split()[0]} in its configuration",
        )
    if not any(kind() for kind in kinds) or not os.access(path, os.R_OK | (os.W_OK if writable else 0)):
        use = "read and write" if writable else "read"
        raise Denied(_message(config), reason=f"its {what} {path} is not a file that you may {use}")


def _message(config: DomainConfig) -> str:
    return f"cannot create domain {config.c_info.name!r}"
