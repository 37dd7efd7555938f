"""The device model, both ends."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, Final

import click

from xenwire.cli._output import emit, output_option
from xenwire.cli._params import domain_argument, duration, host_option
from xenwire.devicemodel.backends import Backends
from xenwire.devicemodel.control import Command, PciAddress, PciInsertion
from xenwire.hosts import connect
from xenwire.runtime.logs import bound_log
from xenwire.runtime.main import run
from xenwire.types import DomId

if TYPE_CHECKING:
    from xenwire.qemu.qmp.client import EventStream

__all__ = ["dm"]

_STATUS: Final = (
    "domain",
    "domid",
    "pid",
    "qemu",
    "state",
    "runstate",
    "backends",
    "memory",
    "uptime",
    "clients",
    "last_command",
    "failure",
)


def _log_as_a_daemon() -> None:
    logging.getLogger().setLevel(logging.INFO)
    bound_log()


@click.group()
def dm() -> None:
    """The device model of a domain: the process that owns its QEMU, and what the toolstack asks of it."""


@dm.command("run", epilog="\b\nExamples:\n  xenwire dm run 3\n  xenwire dm run 3 --user nobody")
@click.argument("domid", type=DomId)
@click.option(
    "--qemu", "program", metavar="PROGRAM", envvar="XENWIRE_QEMU", show_envvar=True, help="The QEMU to start."
)
@click.option(
    "--user", metavar="USER|UID:GID", envvar="XENWIRE_DM_USER", show_envvar=True, help="Who QEMU runs as."
)
@click.option(
    "--timeout", type=duration, default="60s", show_default=True, help="How long QEMU may take to answer."
)
def run_(domid: DomId, program: str | None, user: str | None, timeout: float) -> None:
    """Be the device model of domain DOMID until its QEMU ends. `xenwire create` starts this by itself."""
    from xenwire.hosts.qemu_dm import run_device_model

    _log_as_a_daemon()
    run(run_device_model(domid, timeout=timeout, program=program, user=user))


@dm.command(
    epilog="\b\nExample, in a configuration for xl:\n"
    '  device_model_version = "qemu-xen"\n  device_model_override = "/usr/local/bin/xenwire-dm"',
    context_settings={"ignore_unknown_options": True},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def libxl(arguments: tuple[str, ...]) -> None:
    """Be the device model of a domain of libxl's, by the ARGUMENTS that it gives.

    The program xenwire-dm is this, for xl to start in QEMU's place.
    """
    from xenwire.devicemodel.libxl import is_probe
    from xenwire.hosts.libxl_dm import answer_probe, run_for_libxl

    if is_probe(arguments):
        answer_probe(arguments)
    _log_as_a_daemon()
    run(run_for_libxl(arguments))


@dm.command(epilog="\b\nExamples:\n  xenwire dm status web\n  xenwire dm status web --json")
@domain_argument
@host_option
@output_option
def status(domain: str, host: str | None) -> None:
    """Show how the device model of DOMAIN is: ours, or a QEMU that libxl has started.

    memory is what its QEMU has in RAM, the guest's memory among it; uptime is in seconds; clients is how many
    programs use the monitor (JSON tells which). What nobody tells is a dash.
    """

    async def main() -> dict[str, object]:
        async with connect(host) as where:
            found = await where.find(domain)
            status = await found.device_model.status()
            return {
                "domain": found.name,
                "domid": found.domid,
                "pid": status.pid,
                "qemu": status.qemu,
                "state": status.state,
                "runstate": status.runstate,
                "backends": status.backends.types if status.pid else None,
                "memory": status.memory,
                "uptime": None if status.uptime is None else round(status.uptime),
                "clients": None if status.clients is None else len(status.clients),
                "monitor_clients": None
                if status.clients is None
                else [client._asdict() for client in status.clients],
                "last_command": status.last_command,
                "failure": " / ".join(str(status.failure).splitlines()) if status.failure else None,
            }

    emit([run(main())], _STATUS, one=True, mib=["memory"])


@dm.command(epilog="\b\nExamples:\n  xenwire dm backends web\n  xenwire dm backends 3 --json")
@domain_argument
@host_option
@output_option
def backends(domain: str, host: str | None) -> None:
    """List the backend types that the device model of DOMAIN supports.

    listed is false for those that it supports without saying so in the store.
    """

    async def main() -> Backends:
        async with connect(host) as where:
            return await (await where.find(domain)).device_model.backends()

    found = run(main())
    listed = found.listed or frozenset()
    emit(({"type": type_, "listed": type_ in listed} for type_ in found.types), ("type", "listed"))


@dm.command(
    epilog="\b\nExamples:\n  xenwire dm qmp web query-status"
    """\n  xenwire dm qmp web eject '{"id": "ide-5632"}'"""
    "\n  xenwire dm qmp web --events"
)
@domain_argument
@click.argument("command", required=False)
@click.argument("arguments", metavar="[ARGUMENTS-JSON]", required=False)
@click.option("--events", is_flag=True, help="Follow events until interrupted, one JSON object a line.")
@click.option(
    "--timeout", type=duration, default="10s", show_default=True, help="How long QEMU may take to answer."
)
@host_option
def qmp(
    domain: str, command: str | None, arguments: str | None, events: bool, timeout: float, host: str | None
) -> None:
    """Give QEMU's monitor of DOMAIN a command, and print what it returns as JSON.

    With --events, events follow, until QEMU ends or you interrupt. With neither, print the path of the socket
    where any program that speaks QMP can connect.
    """
    from xenwire.qemu.qmp.connect import connect_unix

    given = _arguments(arguments)

    async def main() -> None:
        async with connect(host) as where:
            path = await (await where.find(domain)).device_model.monitor()
        if command is None and not events:
            click.echo(path)
            return
        async with connect_unix(path, peer=f"domain {domain}", timeout=timeout) as monitor:
            with monitor.events() as stream:
                if command is not None:
                    click.echo(json.dumps(await monitor.execute(command, given, timeout=timeout), indent=2))
                if events:
                    await _show(stream)

    run(main())


async def _show(stream: EventStream) -> None:
    """Print events. Raises Unreachable when the monitor is gone."""
    async for event in stream:
        fields = {"event": event.name, "data": event.data, "timestamp": event.timestamp}
        click.echo(json.dumps(fields))


def _arguments(text: str | None) -> dict[str, Any]:
    try:
        value = json.loads(text) if text else {}
    except ValueError as error:
        raise click.BadParameter(f"{error}", param_hint="ARGUMENTS-JSON") from error
    if not isinstance(value, dict):
        raise click.BadParameter("expected a JSON object", param_hint="ARGUMENTS-JSON")
    return value


@dm.command(
    epilog="\b\nExamples:\n  xenwire dm command web pause\n  xenwire dm command web continue"
    "\n  xenwire dm command web pci-ins 0000:00:05.0@30,msitranslate=1"
    "\n  xenwire dm command web pci-rem 0000:00:05.0\n  xenwire dm command web usb-add tablet"
    "\n  xenwire dm command web save"
)
@domain_argument
@click.argument("word", type=click.Choice([str(c) for c in Command]))
@click.argument("parameter", default="")
@click.option(
    "--timeout", type=duration, default="60s", show_default=True, help="How long the device model may take."
)
@host_option
def command(domain: str, word: str, parameter: str, timeout: float, host: str | None) -> None:
    """Give the device model of DOMAIN a command through the store, and wait until it is done.

    PARAMETER is a device: for pci-ins DDDD:BB:DD.F[@DEVFN][,KEY=VALUE]..., for pci-rem DDDD:BB:DD.F, for
    usb-add tablet, mouse, keyboard, wacom-tablet, host:BUS.ADDR or host:VENDOR:PRODUCT, for usb-del BUS.ADDR.
    pci-ins prints where the guest sees the device, SLOT.FUNCTION.
    """

    async def main() -> None:
        async with connect(host) as where:
            found = await where.find(domain)
            control = found.device_model.control
            match Command(word):
                case Command.PAUSE:
                    await found.pause()
                case Command.CONTINUE:
                    await (control.resume(timeout) if await control.paused() else found.unpause())
                case Command.SAVE:
                    await control.save(timeout)
                case Command.PCI_INSERT:
                    devfn = await control.insert_pci(PciInsertion.parse(parameter), timeout)
                    click.echo(f"{devfn >> 3:02x}.{devfn & 7}")
                case Command.PCI_REMOVE:
                    await control.remove_pci(PciAddress.parse(parameter), timeout)
                case Command.USB_ADD:
                    await control.add_usb(parameter, timeout)
                case Command.USB_DELETE:
                    await control.remove_usb(parameter, timeout)

    run(main())
