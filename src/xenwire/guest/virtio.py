"""Channels over virtio-serial: the ports that have a name (linux: drivers/char/virtio_console.c)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from xenwire.guest.channel import GuestChannel, Places, Problem, Transport, text_of

__all__ = ["read_ports"]


def read_ports(places: Places) -> Iterator[GuestChannel]:
    """Give the ports that have a name, which comes a moment after the port; none without such a device."""
    try:
        folders = sorted((places.sys / "class/virtio-ports").iterdir())
    except OSError:
        return
    for folder in folders:
        try:
            name = (folder / "name").read_bytes().removesuffix(b"\n")
            identity = folder.stat().st_ino
        except OSError:  # it has no name yet, or has just gone
            continue
        if name:
            device = places.dev / folder.name
            there = device.exists()
            yield GuestChannel(
                text_of(name),
                Transport.VIRTIO,
                folder.name,
                identity,
                device if there else None,
                _state(places.sys / "kernel/debug/virtio-ports" / folder.name),
                None if there else Problem(f"there is no {device}", "see that devtmpfs is mounted"),
            )


def _state(port: Path) -> str:
    """Tell whether somebody is at the host's end. Only debugfs knows, which is root's."""
    try:
        found = re.search(r"^host_connected: ([01])$", port.read_text(errors="replace"), re.MULTILINE)
    except OSError:
        found = None
    if found is None:
        return "unknown"
    return "connected" if found[1] == "1" else "disconnected"
