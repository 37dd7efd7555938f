"""Serial ports, consoles and channels (libvirt: docs/formatdomain, "Consoles, serial, parallel & channel
devices").
"""

from __future__ import annotations

from xenwire.config.libvirt.document import Node
from xenwire.config.libvirt.draft import Draft
from xenwire.config.libvirt.sources import chardev
from xenwire.config.libxl.types import (
    DeviceChannel,
    DeviceChannelConnectionMember,
    DeviceChannelNone,
    DeviceChannelPath,
    DeviceChannelPty,
    DeviceChannelSocket,
)

__all__ = ["read_wires"]


def read_wires(draft: Draft) -> None:
    """Read all of them."""
    serials = [serial for serial in map(_serial, draft.devices.all("serial")) if serial]
    console = draft.devices.find("console")
    if console:
        _console(draft, console, serials)
    if draft.hvm and len(serials) == 1:
        draft.guest["serial"] = serials[0]
    elif draft.hvm:
        draft.guest["serial_list"] = serials
    elif serials:
        draft.devices.find("serial").warn("a serial port is not taken over", "this type of guest has none")
    channels = map(_channel, draft.devices.all("channel"))
    draft.config["channels"] = tuple(channel for channel in channels if channel)


def _serial(node: Node) -> str | None:
    words = chardev(node)
    node.find("target").skip()
    node.find("log")
    if words is None:
        node.warn(f"a serial port of type {node.get('type')[:40]} is not taken over")
    return words


def _console(draft: Draft, node: Node, serials: list[str]) -> None:
    """Read the first console: that which every Xen guest has, or another name for the first serial port."""
    node.skip("tty")
    target = node.find("target")
    target.skip("port")
    kind = target.get("type") or ("serial" if draft.hvm else "xen")
    if kind == "serial":
        words = chardev(node)
        if not serials and words and draft.hvm:
            serials.append(words)
    elif kind != "xen":
        node.warn(f"the console becomes Xen's; no {kind[:40]}", "the guest has it as hvc0")
    elif node.get("type") != "pty":
        node.warn(f"the console becomes a pty; no {node.get('type')[:40]}")
    node.find("source").skip()


def _channel(node: Node) -> DeviceChannel | None:
    target = node.find("target")
    target.skip("state")
    kind, name = target.get("type"), target.get("name")
    connection = _connection(node)
    if connection is None or kind not in ("xen", "virtio") or not name:
        what = f"{node.get('type')} for {kind}" if name or kind not in ("xen", "virtio") else "no name"
        node.warn(f"a channel is not taken over: {what[:80]}", "xl has named ones of a pty or a socket")
        node.skip()
        return None
    return DeviceChannel(name=name, connection=connection)


def _connection(node: Node) -> DeviceChannelConnectionMember | None:
    """Find out what the host end of a channel is connected to."""
    source = node.find("source")
    path = source.get("path")
    match node.get("type"):
        case "pty":
            return DeviceChannelPty()
        case "null":
            return DeviceChannelNone()
        case "file" if path:
            if source.get("append") == "off":
                source.warn("the file is appended to")
            return DeviceChannelPath(path=path)
        case "unix" if not path:
            node.warn(
                "the channel has no socket: libvirt makes one up, here it becomes a pty",
                "add <source mode='bind' path='/…'/>",
            )
            source.skip()
            return DeviceChannelPty()
        case "unix":
            if source.get("mode") == "connect":
                source.warn("the backend domain listens on the socket, and does not connect to it")
            return DeviceChannelSocket(path=path)
    return None
