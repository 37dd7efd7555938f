"""Channels of a domain."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from xenwire.channels.keys import Channel
from xenwire.cli._output import emit, output_option
from xenwire.cli._params import domain_argument, host_option
from xenwire.errors import UsageError
from xenwire.hosts import connect
from xenwire.runtime.main import run
from xenwire.types import ChannelKind, ChannelName

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

    _emit(run(main()))


@channel.command(
    epilog="\b\nExamples:\n  xenwire channel attach web org.example.0 --pty\n"
    "  xenwire channel attach web org.example.agent.0 --socket /run/agent.sock\n"
    "  xenwire channel attach web org.example.log.0 --log /var/log/web.log"
)
@domain_argument
@click.argument("name")
@click.option("--pty", "kind", flag_value="pty", help="A terminal (the default).")
@click.option("--none", "kind", flag_value="none", help="Nothing: what the guest writes is thrown away.")
@click.option("--socket", metavar="PATH", help="A Unix socket at PATH.")
@click.option("--log", metavar="PATH", help="Append what the guest writes to PATH.")
@host_option
@output_option
def attach(
    domain: str, name: str, kind: str | None, socket: str | None, log: str | None, host: str | None
) -> None:
    """Give DOMAIN, which may be running, a channel NAME."""
    kinds = [("socket", socket), ("path", log), (kind or "", None)]
    given = [(word, path) for word, path in kinds if (path if word in ("socket", "path") else word)]
    if len(given) > 1:
        raise UsageError("a channel has one kind", hint="give one of --pty, --none, --socket, --log")
    word, path = given[0] if given else ("pty", None)
    where_ends = None if path is None else str(Path(path).absolute())

    async def main() -> Channel:
        async with connect(host) as where:
            found = await where.find(domain)
            return await found.attach(ChannelName(name), ChannelKind(word), where_ends)

    _emit([run(main())], one=True)


@channel.command(epilog="\b\nExamples:\n  xenwire channel detach web org.example.0")
@domain_argument
@click.argument("name")
@host_option
def detach(domain: str, name: str, host: str | None) -> None:
    """Take the channel NAME away from DOMAIN, which may be running."""

    async def main() -> None:
        async with connect(host) as where:
            await (await where.find(domain)).detach(name)

    run(main())


def _emit(channels: Iterable[Channel], *, one: bool = False) -> None:
    emit(
        (
            {
                "name": c.name,
                "devid": c.devid,
                "kind": str(c.kind),
                "state": c.state.name.lower(),
                "place": c.place,
            }
            for c in channels
        ),
        ("name", "devid", "kind", "state", "place"),
        one=one,
    )
