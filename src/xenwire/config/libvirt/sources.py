"""Where disks and serial ports of libvirt lead to, in the words that xl hands on to QEMU."""

from __future__ import annotations

from typing import Final

from xenwire.config.libvirt.document import Node

__all__ = ["chardev", "disk_source"]

_ATTRIBUTES: Final = {"file": "file", "block": "dev"}


def disk_source(disk: Node) -> str | None:
    """Give the path of a disk on the host, or its URL; None if it has none that xl could use."""
    kind = disk.get("type")
    source = disk.find("source")
    source.skip("index", "startupPolicy")
    if kind in _ATTRIBUTES:
        return source.get(_ATTRIBUTES[kind]) or None
    return _network(source) if kind == "network" else None


def _network(source: Node) -> str | None:
    protocol, name = source.get("protocol"), source.get("name")
    hosts = [_address(host) for host in source.all("host")]
    match protocol:
        case "rbd":
            monitors = "\\;".join(host.replace(":", "\\:") for host in hosts)
            return f"rbd:{name}:auth_supported=none" + (f":mon_host={monitors}" if hosts else "")
        case "nbd" | "iscsi" | "gluster" | "http" | "https" | "ftp" | "ftps" | "tftp" if hosts:
            return f"{protocol}://{hosts[0]}/{name.removeprefix('/')}"
    return None


def _address(host: Node) -> str:
    name, port = host.get("name"), host.get("port")
    address = f"[{name}]" if ":" in name else name
    return f"{address}:{port}" if port else address


def chardev(node: Node) -> str | None:
    """Give what a serial port is connected to, as QEMU's option -serial has it; None if there is no such."""
    kind = node.get("type")
    source = node.find("source")
    match kind:
        case "null" | "stdio" | "vc":
            return kind
        case "pty":
            source.skip()  # the pty that it has got
            return kind
        case "file" | "pipe" if source.get("path"):
            return f"{kind}:{source.get('path')}"
        case "dev":
            return source.get("path") or None
        case "unix" if source.get("path"):
            return f"unix:{source.get('path')}{_server(source)}"
        case "tcp":
            protocol = "telnet" if node.find("protocol").get("type") == "telnet" else "tcp"
            return f"{protocol}:{source.get('host')}:{source.get('service')}{_server(source)}"
        case "udp":
            ends = {end.get("mode"): f"{end.get('host')}:{end.get('service')}" for end in node.all("source")}
            return f"udp:{ends.get('connect', ':')}@{ends.get('bind', ':0')}"
    return None


def _server(source: Node) -> str:
    return ",server,nowait" if source.get("mode") == "bind" else ""
