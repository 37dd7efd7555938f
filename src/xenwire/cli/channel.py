"""Channels of a domain."""

from __future__ import annotations

import click

from xenwire.channels.keys import Channel
from xenwire.cli._output import emit, output_option
from xenwire.cli._params import domain_argument, host_option
from xenwire.hosts import connect
from xenwire.runtime.main import run

__all__ = ["channel"]


@click.group()
def channel() -> None:
    """Named byte streams between a guest and this host."""


@channel.command(
    "list", epilog="\b\nExamples:\n  xenwire channel list web\n  xenwire channel list web -o json"
)
@domain_argument
@host_option
@output_option
def list_channels(domain: str, host: str | None) -> None:
    """List the channels of DOMAIN: name, kind, and where on this host its bytes are."""

    async def main() -> list[Channel]:
        async with connect(host) as where:
            return await (await where.find(domain)).channels()

    emit(
        (
            {
                "name": c.name,
                "devid": c.devid,
                "kind": str(c.kind),
                "state": c.state.name.lower(),
                "place": c.place,
            }
            for c in run(main())
        ),
        ("name", "devid", "kind", "state", "place"),
    )
