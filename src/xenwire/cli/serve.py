"""The daemon that serves channels."""

from __future__ import annotations

import re
from contextlib import suppress
from importlib.resources import files
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import click

from xenwire.cli._params import host_option
from xenwire.daemon import serve as serve_channels
from xenwire.errors import UsageError
from xenwire.runtime.logs import log_json
from xenwire.runtime.main import run
from xenwire.runtime.notify import ready

if TYPE_CHECKING:
    from xenwire.cli._output import Manner
    from xenwire.daemon.control import Address

__all__ = ["serve"]

_EVENT_CHANNELS = Path("/dev/xen/evtchn")
_LOCAL = "127.0.0.1"
_UNITS = ("xenwire-serve.service", "xenwire-serve-qemu.service", "xenwire-store.service")


def _print_unit(context: click.Context, _parameter: click.Parameter, name: str | None) -> None:
    if name is not None:
        click.echo(files("xenwire.daemon").joinpath("data", name).read_text(), nl=False)
        context.exit()


@click.command(
    epilog="\b\nExamples:\n  xenwire serve\n  xenwire -v serve --metrics 9478 --log-format json\n"
    "  xenwire serve --unit xenwire-serve.service >/etc/systemd/system/xenwire-serve.service",
)
@host_option
@click.option(
    "--metrics",
    metavar="[ADDRESS:]PORT",
    envvar="XENWIRE_METRICS",
    show_envvar=True,
    help=f"Offer metrics to Prometheus there too, to whoever can connect.  [default address: {_LOCAL}]",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How to log on stderr. json: one object a line.",
)
@click.option("--user", metavar="NAME", help="Be this user, who may do less than root, once all is open.")
@click.option(
    "--unit",
    type=click.Choice(_UNITS),
    callback=_print_unit,
    is_eager=True,
    expose_value=False,
    help="Print a unit for systemd, and do nothing else.",
)
@click.pass_obj
def serve(manner: Manner, host: str | None, metrics: str | None, log_format: str, user: str | None) -> None:
    """Serve all channels of this host until interrupted.

    The guests do not notice when it ends, or is killed: started again, it goes on where it was. In a domain
    of Xen, a driver domain too, the default is xen:.
    """
    if host not in (None, "", "xen:", "qemu:"):
        raise UsageError(f"not a host: {host}", reason="the kinds of host are xen: and qemu:")
    if log_format == "json":
        log_json()
        manner.format = "json"  # so that last words on stderr are JSON too
    xen = host == "xen:" if host else _EVENT_CHANNELS.exists()
    if user and not xen:
        raise UsageError(
            "cannot serve a plain QEMU's channels as another user",
            reason="they belong to whoever runs the domains",
            hint="run xenwire as that user",
        )
    run(serve_channels(ready, xen=xen, metrics=_address(metrics) if metrics else None, user=user))


def _address(text: str) -> Address:
    """Read [ADDRESS:]PORT; an IPv6 address is in brackets. Raises UsageError."""
    match = re.fullmatch(r"(?:([0-9.]+|\[[0-9A-Fa-f:.]+\]):)?([0-9]{1,5})", text)
    with suppress(ValueError):
        if match is not None and 0 < int(match[2]) < 1 << 16:
            return str(ip_address((match[1] or _LOCAL).strip("[]"))), int(match[2])
    raise UsageError(
        f"cannot offer metrics at {text!r}",
        reason="it is not [ADDRESS:]PORT, an IP address and a port from 1 to 65535",
        hint="write 9478, 0.0.0.0:9478 or [::1]:9478",
    )
