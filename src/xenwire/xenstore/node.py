"""A node as somebody wants it to be: path, value and permissions. Pure."""

from __future__ import annotations

from typing import NamedTuple

from xenwire.types import StorePath
from xenwire.xenstore.perms import Permissions

__all__ = ["Node"]


class Node(NamedTuple):
    """A node to write. Without permissions of its own it inherits its parent's."""

    path: StorePath
    value: str = ""
    perms: Permissions | None = None
