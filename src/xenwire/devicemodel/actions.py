"""The device model's end of the control protocol (seed 001): each command, carried out on a QEMU by QMP."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from xenwire.devicemodel.control import ANSWERS, Command, PciAddress, PciInsertion
from xenwire.errors import NotFound, TimedOut, Unreachable, UsageError, XenwireError
from xenwire.qemu.qmp.client import QmpClient, QmpError

__all__ = ["Actions", "Answer"]

_GUEST_TIMEOUT: Final = 50.0
"""Seconds that QEMU has for what depends on the guest: less than the toolstack waits for the answer."""
_RELEASE_TIMEOUT: Final = 50.0
"""Seconds that a guest has to give a device back."""
_RETRY: Final = 1.0  # seconds between questions whether it has
_REASON: Final = 500  # characters of what is said of a failure

_USB: Final = {
    "tablet": "usb-tablet",
    "mouse": "usb-mouse",
    "keyboard": "usb-kbd",
    "wacom-tablet": "usb-wacom-tablet",
}
_USB_HOST: Final = re.compile(
    r"host:(?:(?P<bus>[0-9]{1,3})\.(?P<addr>[0-9]{1,3})|(?P<vendor>[0-9a-fA-F]{1,4}):(?P<product>[0-9a-fA-F]{1,4}))"
)
_USB_LINE: Final = re.compile(r"Device (?P<address>[0-9]+\.[0-9]+),.*ID: (?P<id>[^\r\n]+)")


class Answer(NamedTuple):
    """What a command leaves in the store; no parameter: that stays as it is."""

    state: str
    parameter: str | None = None


class Actions:
    """Carries out what a toolstack asks of a device model.

    `saved`: the file for the device model's state. `passthrough`: the QEMU device that stands for a PCI
    device of the host, and what it calls its address.
    """

    def __init__(
        self, qmp: QmpClient, saved: Path, passthrough: tuple[str, str] = ("vfio-pci", "host")
    ) -> None:
        self._qmp, self._saved = qmp, saved
        self._driver, self._address_key = passthrough
        self._usb_devices = 0

    async def carry_out(self, command: Command, parameter: str) -> Answer:
        """Do what a command says. Raises Unreachable if QEMU has gone."""
        actions: dict[Command, Callable[[str], Awaitable[str | None]]] = {
            Command.SAVE: self._save,
            Command.CONTINUE: self._continue,
            Command.PAUSE: self._pause,
            Command.PCI_INSERT: self._insert_pci,
            Command.PCI_REMOVE: self._remove_pci,
            Command.USB_ADD: self._add_usb,
            Command.USB_DELETE: self._remove_usb,
        }
        try:
            return Answer(ANSWERS[command].done, await actions[command](parameter))
        except Unreachable:
            raise
        except XenwireError as error:
            reason = error.reason or error.message
        except OSError as error:
            reason = f"{error.filename}: {error.strerror}"
        return Answer(ANSWERS[command].failed, reason[:_REASON])

    async def log_dirty(self, enable: bool) -> None:
        """Have QEMU tell the hypervisor which memory it writes, or not. Raises as `QmpClient.execute`."""
        await self._qmp.execute("xen-set-global-dirty-log", enable=enable)

    async def _save(self, _: str) -> None:
        """Write QEMU's devices aside, then in place: whoever reads that file finds all of it, or none."""
        await self._qmp.execute("stop", timeout=_GUEST_TIMEOUT)  # it waits for disks
        beside = self._saved.with_name(f".{self._saved.name}.new")
        for old in (beside, self._saved):
            old.unlink(missing_ok=True)
        try:
            # QEMU opens a member of a set only in the mode that it has, and as another user not the path.
            fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            try:
                added = (await self._qmp.execute("add-fd", fds=[fd]))["fdset-id"]
            finally:
                os.close(fd)
            try:
                await self._qmp.execute(
                    "xen-save-devices-state", filename=f"/dev/fdset/{added}", timeout=_GUEST_TIMEOUT
                )
            finally:
                await self._qmp.execute("remove-fd", {"fdset-id": added})
            beside.rename(self._saved)
        finally:
            with suppress(OSError):
                beside.unlink(missing_ok=True)

    async def _continue(self, _: str) -> None:
        await self._qmp.execute("cont")

    async def _pause(self, _: str) -> None:
        await self._qmp.execute("stop")

    async def _insert_pci(self, parameter: str) -> str:
        device = PciInsertion.parse(parameter)
        name = _pci_id(device.address)
        arguments: dict[str, Any] = {
            "driver": self._driver,
            "id": name,
            self._address_key: str(device.address),
        }
        if device.devfn is not None:
            arguments["addr"] = f"{device.devfn >> 3:x}.{device.devfn & 7:x}"
        if ("permissive", "1") in device.options:
            arguments["permissive"] = True
        await self._qmp.execute("device_add", arguments, timeout=_GUEST_TIMEOUT)  # it may pin all memory
        try:
            devfn = await self._devfn(name)
            if devfn is None:
                raise NotFound("the device is not there", reason="QEMU took it, and does not show it")
        except XenwireError:
            with suppress(XenwireError):  # the toolstack will hear that the guest has not got it
                await self._qmp.execute("device_del", id=name)
            raise
        return f"0x{devfn:02x}"

    async def _remove_pci(self, parameter: str) -> None:
        """Have the guest give a device back. It may have been asked already, and be slow."""
        name = _pci_id(PciAddress.parse(parameter))
        if await self._devfn(name) is None:
            raise NotFound("nothing to remove", reason=f"the guest has no device {parameter}")
        with self._qmp.events("DEVICE_DELETED") as events:
            try:
                await self._qmp.execute("device_del", id=name)
            except QmpError as error:
                if "unplug" not in error.description:
                    raise
            try:
                async with asyncio.timeout(_RELEASE_TIMEOUT):
                    while await self._devfn(name) is not None:
                        with suppress(TimeoutError):
                            async with asyncio.timeout(_RETRY):
                                await anext(events)
            except TimeoutError:
                reason = f"the guest has not given it back within {_RELEASE_TIMEOUT:g} s"
                raise TimedOut("the device stays", reason=reason) from None

    async def _devfn(self, name: str) -> int | None:
        """Tell where the guest sees a device."""
        for bus in await self._qmp.execute("query-pci"):
            for device in bus["devices"]:
                if device["qdev_id"] == name:
                    return int(device["slot"]) << 3 | int(device["function"])
        return None

    async def _add_usb(self, parameter: str) -> None:
        found = _USB_HOST.fullmatch(parameter)
        if found is None and parameter not in _USB:
            raise UsageError(
                f"unknown USB device {parameter[:80]!r}",
                reason=f"known are {', '.join(_USB)}, host:BUS.ADDR and host:VENDOR:PRODUCT",
            )
        arguments: dict[str, Any] = {"driver": _USB.get(parameter, "usb-host")}
        if found is not None and found["bus"]:
            arguments |= {"hostbus": int(found["bus"]), "hostaddr": int(found["addr"])}
        elif found is not None:
            arguments |= {"vendorid": int(found["vendor"], 16), "productid": int(found["product"], 16)}
        self._usb_devices += 1
        await self._qmp.execute("device_add", {**arguments, "id": f"xenwire-usb-{self._usb_devices}"})

    async def _remove_usb(self, parameter: str) -> None:
        listing = await self._qmp.execute("human-monitor-command", {"command-line": "info usb"})
        for found in _USB_LINE.finditer(listing):
            if found["address"] == parameter:
                await self._qmp.execute("device_del", id=found["id"].strip())
                return
        reason = f"no device {parameter[:80]!r} that can be taken away"
        raise NotFound("no such USB device", reason=reason)


def _pci_id(address: PciAddress) -> str:
    """Give the id that libxl gives the device, too (xen: tools/libs/light/libxl_pci.c)."""
    return f"pci-pt-{address.bus:02x}_{address.device:02x}.{address.function:x}"
