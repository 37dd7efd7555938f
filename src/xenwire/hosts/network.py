"""A domain's network cards as the arguments of a plain QEMU."""

from __future__ import annotations

import hashlib
import logging
import uuid as uuids
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from xenwire.hosts.refusal import impossible
from xenwire.qemu.options import format_option

if TYPE_CHECKING:
    from xenwire.config import DomainConfig
    from xenwire.config.libxl.types import DeviceNic

__all__ = ["network_arguments"]

_log = logging.getLogger(__name__)

_MODELS: Final = {
    None: "virtio-net-pci",
    "virtio": "virtio-net-pci",
    "virtio-net": "virtio-net-pci",
    "e1000": "e1000",
    "e1000e": "e1000e",
    "ne2k_pci": "ne2k_pci",
    "pcnet": "pcnet",
    "rtl8139": "rtl8139",
}


def network_arguments(config: DomainConfig, uuid: uuids.UUID) -> list[str]:
    """Give the arguments for network cards.

    A card joins the bridge that it names if this host has it, by QEMU's bridge helper; else it has QEMU's own
    network: the guest gets out, nobody gets in. Raises UsageError for a model or a backend that is not here.
    """
    return [argument for index, nic in enumerate(config.nics) for argument in _nic(config, nic, index, uuid)]


def _nic(config: DomainConfig, nic: DeviceNic, index: int, uuid: uuids.UUID) -> Iterator[str]:
    model = _MODELS.get(nic.model)
    if model is None:
        raise impossible(
            config,
            f"its network card {index} has the model {nic.model!r}",
            f"the models are {', '.join(name for name in _MODELS if name)}",
        )
    if (nic.backend_domname or "0") not in ("0", "Domain-0"):
        raise impossible(
            config,
            f"its network card {index} wants the backend domain {nic.backend_domname!r}",
            "leave backend out: here the host serves all devices",
        )
    yield "-netdev"
    if nic.bridge and Path("/sys/class/net", nic.bridge, "bridge").is_dir():
        yield format_option("bridge", {"id": f"nic{index}", "br": nic.bridge})
    else:
        if nic.bridge:
            _log.warning("there is no bridge %s here: card %d has QEMU's own network", nic.bridge, index)
        yield format_option("user", {"id": f"nic{index}"})
    yield "-device"
    mac = nic.mac or _mac(uuid, index)
    yield format_option(model, {"netdev": f"nic{index}", "mac": mac, "id": f"nic{index}-dev"})


def _mac(uuid: uuids.UUID, index: int) -> str:
    """Give an address of Xen's range that stays the same for a domain."""
    tail = hashlib.sha256(uuid.bytes + index.to_bytes(4)).digest()
    return f"00:16:3e:{tail[0] & 0x7F:02x}:{tail[1]:02x}:{tail[2]:02x}"
