"""The console of a domain, and its channels, in the user's terminal."""

from __future__ import annotations

import click

from xenwire.cli._params import domain_argument, host_option
from xenwire.cli._terminal import join_terminal
from xenwire.hosts import connect
from xenwire.runtime.main import run

__all__ = ["console"]


def _control(context: click.Context, parameter: click.Parameter, value: str) -> bytes:
    """Read ^X, the way control keys are written."""
    if len(value) == 2 and value[0] == "^" and "@" <= value[1].upper() <= "_":
        return bytes([ord(value[1].upper()) - 64])
    raise click.BadParameter("write a control key such as ^]", context, parameter)


@click.command(
    epilog="\b\nExamples:\n  xenwire console web\n  xenwire console web org.example.setup.0 --read-only"
)
@domain_argument
@click.argument("channel", required=False)
@host_option
@click.option("--escape", default="^]", show_default=True, callback=_control, help="The key that leaves.")
@click.option("--read-only", is_flag=True, help="Pass no key on to the guest.")
@click.option("--raw", is_flag=True, help="Do not filter dangerous escape sequences of the guest.")
def console(
    domain: str, channel: str | None, host: str | None, escape: bytes, read_only: bool, raw: bool
) -> None:
    """Join this terminal to the console of DOMAIN, or to its CHANNEL. Leaving never stops the guest."""

    async def main() -> None:
        async with connect(host) as where:
            found = await where.find(domain)
            place = await (found.console() if channel is None else found.place(channel))
            await join_terminal(place, escape=escape, read_only=read_only, raw=raw)

    run(main())
