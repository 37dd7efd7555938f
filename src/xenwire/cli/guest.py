"""Inside a guest: its channels."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click

from xenwire import guestfiles
from xenwire.cli._output import emit, output_option
from xenwire.cli._params import duration
from xenwire.guest.find import Finder

__all__ = ["guest"]


def _terminals(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> dict[int, int]:
    """Read each N=K, the numbers of a console and of its hvc."""
    pairs = {}
    for value in values:
        match = re.fullmatch("([1-7])=([0-7])", value)
        if match is None:
            raise click.BadParameter(f"{value!r} is not N=K, with N from 1 to 7 and K from 0 to 7")
        pairs[int(match[1])] = int(match[2])
    return pairs


_hvc_option = click.option(
    "--hvc",
    metavar="N=K",
    multiple=True,
    callback=_terminals,
    help="Xen's console N is /dev/hvcK. Needed only where the consoles' numbers leave that open.",
)


@click.group()
def guest() -> None:
    """Inside a guest: find its channels by name, and hand them to programs."""


@guest.command(epilog="\b\nExamples:\n  xenwire guest channels\n  xenwire guest channels -o json")
@_hvc_option
@output_option
def channels(hvc: dict[int, int]) -> None:
    """List the channels of this guest: name, device, kind and state; -o wide adds what is in the way."""
    emit(
        (
            {
                "name": channel.name,
                "device": None if channel.device is None else str(channel.device),
                "kind": str(channel.transport),
                "state": channel.state,
                "source": channel.source,
                "problem": channel.problem.reason if channel.problem else None,
            }
            for channel in Finder(hvc=hvc).channels()
        ),
        ("name", "device", "kind", "state"),
        wide=("source", "problem"),
    )


@guest.command(
    "open",
    epilog="\b\nExamples:\n  xenwire guest open org.example.agent.0 <message\n"
    "  xenwire guest open org.example.setup.0 --wait 30s --stay </dev/null >setup",
)
@click.argument("name")
@click.option("--wait", metavar="SECONDS", type=duration, help="Wait so long for a channel that comes later.")
@click.option("--stay", is_flag=True, help="Go on after the end of stdin, until the channel goes.")
@_hvc_option
def open_channel(name: str, wait: float | None, stay: bool, hvc: dict[int, int]) -> None:
    """Join stdin and stdout to the channel NAME.

    Every byte passes as it is, but for what Xen's host has sent before the first opening: Linux echoes and
    changes that. It ends when stdin has ended and all of it was sent, or when the channel goes.
    """
    from xenwire.guest.device import Device
    from xenwire.guest.join import join

    finder = Finder(hvc=hvc)
    found = finder.find(name) if wait is None else finder.wait(name, wait)
    assert found.device is not None
    with Device(found.device) as device:
        join(device, sys.stdin.fileno(), sys.stdout.fileno(), stay=stay)


@guest.command(
    epilog="\b\nExamples:\n  xenwire guest run\n  xenwire -v guest run --units /usr/lib/example/channels.d"
)
@click.option(
    "--units",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("/etc/xenwire/channels.d"),
    show_default=True,
    help="The folder of unit files, NAME.unit each.",
)
@_hvc_option
def run(units: Path, hvc: dict[int, int]) -> None:
    """Start programs for channels as they come, and end them as they go, until interrupted."""
    from xenwire.guest.news import follow
    from xenwire.guest.run import run_units
    from xenwire.runtime.main import run as run_main
    from xenwire.runtime.notify import ready

    finder = Finder(hvc=hvc)

    async def main() -> None:
        async with follow(store=finder.on_xen) as news:
            await run_units(units, finder, news, ready=ready)

    run_main(main())


@guest.command(
    epilog="\b\nExamples:\n"
    "  xenwire guest file 60-xenwire-channels.rules >/etc/udev/rules.d/60-xenwire-channels.rules\n"
    "  xenwire guest file xenwire-guest.service >/etc/systemd/system/xenwire-guest.service"
)
@click.argument("name", type=click.Choice(list(guestfiles.PLACES)))
def file(name: str) -> None:
    """Print a file for udev or systemd.

    The rule makes /dev/xen-channel/NAME, with or without Xenwire in the guest; xenwire-seed.service has
    cloud-init act on what `xenwire channel seed` gives.
    """
    click.echo(guestfiles.read(name), nl=False)
