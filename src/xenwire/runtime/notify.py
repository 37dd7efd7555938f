"""Readiness notification of daemons, as systemd's sd_notify(3) does it."""

from __future__ import annotations

import os
import socket

__all__ = ["ready"]


def ready() -> None:
    """Tell whoever started this process that it serves now. Does nothing where nobody asked."""
    address = os.environ.pop("NOTIFY_SOCKET", None)
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.sendto(b"READY=1", address)
