"""What a domain is, apart from its devices (libvirt: docs/formatdomain; src/libxl/libxl_conf.c)."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import Any, Final

from xenwire.config.libvirt.devices import read_devices
from xenwire.config.libvirt.display import read_display
from xenwire.config.libvirt.document import Node
from xenwire.config.libvirt.draft import Draft, bits, kibibytes
from xenwire.config.libvirt.platform import read_platform
from xenwire.config.libvirt.wires import read_wires
from xenwire.config.libxl.types import (
    ActionOnShutdown,
    BiosType,
    DeviceModelVersion,
    DomainBuildInfo,
    DomainBuildInfoHvm,
    DomainBuildInfoPv,
    DomainBuildInfoPvh,
    DomainConfig,
    DomainCreateInfo,
    DomainSchedParams,
    DomainType,
    VnodeInfo,
)

__all__ = ["read_domain"]

_MAX_VCPUS: Final = 1024
"""More than any guest of Xen gets in practice."""
_MAX_NODES: Final = 64
"""Of NUMA: Xen's own limit for the host."""


def read_domain(root: Node) -> DomainConfig:
    """Read a `<domain>`. After an error the result is of no use."""
    if root.get("type") != "xen":
        root.warn(f"a domain of {root.get('type')[:40]}: it gets the hardware that Xen has")
    root.skip("id")
    draft = Draft(root, _type(root.find("os")))
    for read in _SECTIONS:
        read(draft)
    guest = _GUESTS[draft.type](**draft.guest)
    build = DomainBuildInfo(type=guest, **draft.build)
    return DomainConfig(c_info=DomainCreateInfo(**draft.create), b_info=build, **draft.config)


_GUESTS: Final[dict[DomainType, Callable[..., Any]]] = {
    DomainType.HVM: DomainBuildInfoHvm,
    DomainType.PV: DomainBuildInfoPv,
    DomainType.PVH: DomainBuildInfoPvh,
}


def _type(node: Node) -> DomainType:
    kind = node.find("type")
    kind.skip("arch")
    machine = kind.get("machine")
    if kind.text == "xenpvh" or machine == "xenpvh":
        return DomainType.PVH
    if kind.text in ("linux", "xen"):
        return DomainType.PV
    if kind.text != "hvm":
        kind.error(f"unknown type of guest: {kind.text[:40]}", "libvirt knows hvm, linux, xen, xenpvh")
    return DomainType.HVM


def _identity(draft: Draft) -> None:
    root = draft.root
    name = root.content("name")
    if not name:
        root.error("the domain has no name", "add <name>…</name>")
    draft.create["name"] = name
    text = root.content("uuid")
    if text is not None:
        digits = text.replace("-", "")
        if re.fullmatch(r"[0-9a-fA-F]{32}", digits):
            draft.create["uuid"] = uuid.UUID(digits)
        else:
            root.find("uuid").error(f"not a UUID: {text[:40]}")
    label = root.find("seclabel")
    if label.get("type") == "static":
        draft.create["ssid_label"] = label.content("label")


def _memory(draft: Draft) -> None:
    memory, current = draft.root.find("memory"), draft.root.find("currentMemory")
    if not memory:
        draft.root.error("the domain has no memory", "add <memory unit='MiB'>…</memory>")
        return
    memory.skip("dumpCore")
    draft.build["max_memkb"] = kibibytes(memory)
    draft.build["target_memkb"] = kibibytes(current or memory)


def _vcpus(draft: Draft) -> None:
    node = draft.root.find("vcpu")
    node.skip("placement")
    count = node.number(node.text or "1", _MAX_VCPUS, what="the number", low=1) or 1
    current = node.number(node.get("current", str(count)), count, what="current", low=1) or 1
    draft.build["max_vcpus"] = count
    draft.build["avail_vcpus"] = frozenset(range(current))
    cpus = bits(node, node.get("cpuset"), "cpuset") if "cpuset" in node else None
    tune = draft.root.find("cputune")
    pins = _pins(tune, count)
    if pins:
        draft.build["numa_placement"] = False  # as xl has it where each vCPU has processors of its own
        others = cpus or frozenset().union(*pins.values())
        draft.build["vcpu_hard_affinity"] = [pins.get(vcpu, others) for vcpu in range(count)]
    elif cpus:
        draft.build["vcpu_hard_affinity"] = [cpus] * count
    shares = tune.find("shares")
    if shares:
        weight = shares.number(shares.text, 65535, what="the number", low=1)
        draft.build["sched_params"] = DomainSchedParams(weight=-1 if weight is None else weight)


def _pins(tune: Node, count: int) -> dict[int, frozenset[int]]:
    pins: dict[int, frozenset[int]] = {}
    nodes = tune.all("vcpupin")
    if len(nodes) > count:
        tune.error(f"<vcpupin> for {len(nodes)} vCPUs, of which there are {count}")
        return pins
    for pin in nodes:
        vcpu = pin.number(pin.get("vcpu"), count - 1, what="vcpu")
        cpus = bits(pin, pin.get("cpuset"), "cpuset")
        if vcpu is not None and cpus:
            pins[vcpu] = cpus
    return pins


def _nodes(draft: Draft) -> None:
    """Read the processor, and the virtual NUMA nodes that it is said to have."""
    node = draft.root.find("cpu")
    node.skip("match", "check", "migratable")
    passthrough = nested = node.get("mode") == "host-passthrough"
    for feature in node.all("feature"):
        name, policy = feature.get("name"), feature.get("policy")
        if name in ("vmx", "svm"):
            nested = policy not in ("disable", "forbid")
        else:
            feature.warn(f"the CPU feature {name[:40]} is not taken over", "xl has the key cpuid for it")
    if passthrough and draft.hvm:
        draft.build["nested_hvm"] = nested
    cells = node.find("numa").all("cell")
    if len(cells) > _MAX_NODES:
        node.error(f"{len(cells)} NUMA cells", f"there are at most {_MAX_NODES}")
    else:
        draft.build["vnuma_nodes"] = [_cell(cell, len(cells)) for cell in cells]


def _cell(cell: Node, count: int) -> VnodeInfo:
    number = cell.number(cell.get("id", "0"), count - 1, what="id") or 0
    distances = [10 if node == number else 20 for node in range(count)]  # libvirt's defaults
    for sibling in cell.find("distances").all("sibling"):
        other = sibling.number(sibling.get("id"), count - 1, what="id")
        distance = sibling.number(sibling.get("value"), 255, what="value")
        if other is not None and distance is not None:
            distances[other] = distance
    return VnodeInfo(
        memkb=kibibytes(cell, cell.get("memory")),
        vcpus=bits(cell, cell.get("cpus"), "cpus") or frozenset(),
        pnode=number,
        distances=tuple(distances),
    )


def _boot(draft: Draft) -> None:
    node, build = draft.root.find("os"), draft.build
    for element, field in (("kernel", "kernel"), ("initrd", "ramdisk"), ("cmdline", "cmdline")):
        build[field] = node.content(element) or None
    build["bootloader"] = draft.root.content("bootloader") or None
    build["bootloader_args"] = (draft.root.content("bootloader_args") or "").split()
    if draft.hvm:
        _firmware(draft, node)
        build["device_model"] = _emulator(draft)
        if build["device_model"]:
            build["device_model_version"] = DeviceModelVersion.QEMU_XEN
    elif not build["kernel"] and not build["bootloader"]:
        build["bootloader"] = "pygrub"  # as libvirt's driver for Xen has it
    build["extra"] = [argument.get("value") for argument in draft.root.find("xen:commandline").all("xen:arg")]


def _firmware(draft: Draft, node: Node) -> None:
    loader = node.find("loader")
    loader.skip("readonly", "secure", "format")
    kind = loader.get("type", "rom")
    if node.get("firmware") == "efi" or kind == "pflash":
        draft.guest["bios"] = BiosType.OVMF
        draft.guest["system_firmware"] = loader.text or None
    elif loader.text.rpartition("/")[2] not in ("", "hvmloader"):
        draft.guest["firmware"] = loader.text
    table = node.find("acpi").find("table")
    table.skip("type")
    draft.guest["acpi_firmware"] = table.text or None


def _emulator(draft: Draft) -> str | None:
    node = draft.devices.find("emulator")
    if draft.root.get("type") != "xen" or node.text.endswith(("/qemu-dm", "/stubdom-dm")):
        return None
    return node.text or None


_BOOT: Final = {"fd": "a", "hd": "c", "cdrom": "d", "network": "n"}


def _boot_order(draft: Draft) -> None:
    """Give the devices that an HVM guest boots from: those of <os>, or those that say it themselves."""
    order = [_BOOT.get(boot.get("dev"), "") for boot in draft.root.find("os").all("boot")]
    order = order or [letter for _, letter in sorted(draft.boot)]
    if draft.hvm and order:
        draft.guest["boot"] = "".join(dict.fromkeys(order))


def _ends(draft: Draft) -> None:
    for key, default in _ENDS.items():
        node = draft.root.find(key)
        word = node.text or default
        if word in _ACTIONS:
            draft.config[key] = _ACTIONS[word]
        else:
            node.error(f"unknown action: {word[:40]}", f"libvirt knows {', '.join(_ACTIONS)}")
    draft.config["on_soft_reset"] = ActionOnShutdown.SOFT_RESET  # as xl has it
    draft.root.find("on_lockfailure")


_ENDS: Final = {"on_poweroff": "destroy", "on_reboot": "restart", "on_crash": "destroy"}
_ACTIONS: Final = {
    "destroy": ActionOnShutdown.DESTROY,
    "restart": ActionOnShutdown.RESTART,
    "rename-restart": ActionOnShutdown.RESTART_RENAME,
    "preserve": ActionOnShutdown.PRESERVE,
    "coredump-destroy": ActionOnShutdown.COREDUMP_DESTROY,
    "coredump-restart": ActionOnShutdown.COREDUMP_RESTART,
}

_SECTIONS: Final = (
    _identity,
    _memory,
    _vcpus,
    _nodes,
    _boot,
    read_devices,
    read_display,
    read_wires,
    _boot_order,
    read_platform,
    _ends,
)
