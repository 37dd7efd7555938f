"""How the daemon says no: one exception that carries the wire's name of the error."""

from __future__ import annotations

from typing import Literal

__all__ = ["ErrorName", "Refused"]

ErrorName = Literal[
    "EINVAL", "EACCES", "EEXIST", "ENOENT", "ENOMEM", "ENOSPC", "EIO", "ENOSYS", "EBUSY", "EAGAIN", "E2BIG",
    "EPERM",
]  # fmt: skip
"""The error names of xs_wire.h that this daemon sends."""


class Refused(Exception):
    """A request is answered with ERROR. Nothing has been changed by it."""

    def __init__(self, name: ErrorName) -> None:
        super().__init__(name)
        self.name = name
