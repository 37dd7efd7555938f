"""Channels of a domain."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from xenwire.cli._output import emit, note, output_option
from xenwire.cli._params import domain_argument, duration, host_option, read_file
from xenwire.errors import NotFound, UsageError, XenwireError
from xenwire.hosts import connect
from xenwire.runtime.main import run
from xenwire.types import DOM0, ChannelKind, ChannelName

if TYPE_CHECKING:
    from xenwire.channels.keys import Channel
    from xenwire.channels.options import Options
    from xenwire.channels.statistics import ChannelStatistics
    from xenwire.types import DevId

__all__ = ["channel"]

_COLUMNS: Final = ("name", "devid", "kind", "state", "place")
_COUNTS: Final = ("from_guest", "to_guest", "dropped", "clients")
_FILE: Final = click.Path(path_type=Path)
_MORE: Final = ("delivered", "waiting", "sent_away", "generation", "joined")


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
    """List the channels of DOMAIN: where on this host their bytes are, and how many they have carried.

    Counts are bytes; - is what is not known, such as all counts of a channel that nobody serves, or that
    another domain serves: BACKEND tells which, and the place is there.
    """

    async def main() -> tuple[list[dict[str, Any]], list[Channel]]:
        async with connect(host) as where:
            found = await where.find(domain)
            channels, told = await found.channels(), await found.statistics() or {}
            lost = []
            with suppress(XenwireError):  # this is advice, and no reason to fail
                lost = await found.lost_channels()
        return [_described(channel) | _counted(channel, told) for channel in channels], lost

    records, lost = run(main())
    failed = any(record["error"] is not None for record in records)
    elsewhere = [record["name"] for record in records if record["backend"] != DOM0]
    emit(
        records,
        (*_COLUMNS, *(["backend"] if elsewhere else []), *_COUNTS, *(["error"] if failed else [])),
        wide=_MORE,
    )
    if elsewhere:
        note(
            f"note: another domain serves {', '.join(elsewhere)}\n"
            "  places are that domain's, and what was carried is told there"
        )
    for channel in lost:
        note(
            f"warning: xl has lost channel {channel.name} of the domain's configuration\n"
            f"  try: xenwire channel repair {domain}"
        )


@channel.command(
    epilog="\b\nExamples:\n  xenwire channel attach web org.example.0 --pty\n"
    "  xenwire channel attach web org.example.agent.0 --socket /run/agent.sock --mode 0660 --owner :agents\n"
    "  xenwire channel attach web org.example.log.0 --log /var/log/web.log"
)
@domain_argument
@click.argument("name")
@click.option("--pty", "kind", flag_value="pty", help="A terminal (the default).")
@click.option("--none", "kind", flag_value="none", help="Nothing: what the guest writes is thrown away.")
@click.option("--socket", metavar="PATH", help="A Unix socket at PATH.")
@click.option("--log", metavar="PATH", help="Append what the guest writes to PATH.")
@click.option("--broadcast", is_flag=True, help="Serve several clients of the socket at once.")
@click.option(
    "--replay",
    metavar="SIZE",
    help="Give a new client of the socket the last SIZE bytes that others had: 4096, 64K, 1M.",
)
@click.option("--hold", is_flag=True, help="Give the guest nothing before its first byte: it may echo.")
@click.option("--mode", metavar="OCTAL", help="Mode of the socket (else 0600) or of the pty.")
@click.option("--owner", metavar="USER[:GROUP]", help="Owner of the socket or the pty.")
@click.option(
    "--block",
    is_flag=True,
    help="Have the guest wait while nobody takes what it writes, rather than dropping the oldest bytes. "
    "Beware: meanwhile a processor of a Linux guest on Xen spins in its kernel, interrupts off.",
)
@click.option("--backend", metavar="DOMAIN", help="The driver domain where it ends; xenwire serves it there.")
@click.option("--persistent", is_flag=True, help="Have it back after a reboot, until it is detached.")
@host_option
@output_option
def attach(
    domain: str,
    name: str,
    kind: str | None,
    socket: str | None,
    log: str | None,
    host: str | None,
    backend: str | None,
    persistent: bool,
    **asked: str | bool | None,
) -> None:
    """Give DOMAIN, which may be running, a channel NAME."""
    kinds = [("socket", socket), ("path", log), (kind or "", None)]
    given = [
        (word, path) for word, path in kinds if (path is not None if word in ("socket", "path") else word)
    ]
    if len(given) > 1:
        raise UsageError("a channel has one kind", hint="give one of --pty, --none, --socket, --log")
    word, path = given[0] if given else ("pty", None)
    if path == "":
        raise UsageError(f"the path of channel {name} is empty")
    if persistent and backend is not None:
        raise UsageError("a channel that a driver domain serves cannot be persistent")
    where_ends = None if path is None else str(Path(path).absolute())
    options = _options(asked, ChannelKind(word))

    async def main() -> Channel:
        async with connect(host) as where:
            found = await where.find(domain)
            served_by = (await where.find(backend)).domid if backend else DOM0
            attached = await found.attach(
                ChannelName(name), ChannelKind(word), where_ends, options, backend=served_by
            )
            if persistent:
                await found.remember(attached)
            return attached

    emit([_described(run(main()))], _COLUMNS, one=True)
    if asked["block"]:
        note("note: while nobody takes what the guest writes, it waits; a Linux guest on Xen spins meanwhile")


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


@channel.command(epilog="\b\nExamples:\n  xenwire channel repair web")
@domain_argument
@host_option
@output_option
def repair(domain: str, host: str | None) -> None:
    """Attach the channels of DOMAIN's configuration that it does not have.

    xl of Xen 4.11 to 4.20 loses a domain's first channel. It comes back as one that xenwire serves, with its
    name, kind and path.
    """

    async def main() -> list[Channel]:
        async with connect(host) as where:
            return await (await where.find(domain)).repair_channels()

    emit([_described(channel) for channel in run(main())], _COLUMNS)


@channel.command(
    epilog="\b\nExamples:\n  xenwire channel seed web --user-data web.yaml\n"
    "  xenwire channel seed web --user-data web.yaml --network-config net.yaml --timeout 30m"
)
@domain_argument
@click.option("--user-data", metavar="FILE", required=True, type=_FILE, help="#cloud-config, or a script.")
@click.option(
    "--meta-data",
    metavar="FILE",
    type=_FILE,
    help="YAML with an instance-id; if not given, the domain's uuid, and its name as host name.",
)
@click.option("--network-config", metavar="FILE", type=_FILE, help="How the guest joins its networks.")
@click.option("--vendor-data", metavar="FILE", type=_FILE, help="As user data, which goes before it.")
@click.option(
    "--name", default="org.xenwire.seed.0", show_default=True, help="The channel that the guest asks on."
)
@click.option(
    "--timeout",
    type=duration,
    default="10m",
    show_default=True,
    help="How long the guest may take to ask, and to take it.",
)
@host_option
def seed(domain: str, name: str, timeout: float, host: str | None, **given: Path | None) -> None:
    """Tell cloud-init in DOMAIN what to make of it on its first boot.

    The guest asks, by xenwire-seed.service of `xenwire guest file`. It may have asked before, or not run yet.
    """
    from xenwire.runtime.streams import open_stream
    from xenwire.seed import MAX_SEED, hand_over, meta_data, pack

    files = {key.replace("_", "-"): read_file(path, MAX_SEED) for key, path in given.items() if path}

    async def main() -> None:
        async with connect(host) as where:
            found = await where.find(domain)
            try:
                await found.channel(name)
            except NotFound as error:
                error.hint = f"xenwire channel attach {found.name} {name} --socket PATH"
                raise
            place = await found.place(name)
            about = await found.info()
            packed = pack({"meta-data": meta_data(about.uuid, about.name)} | files)
            async with open_stream(place) as (reader, writer):
                await hand_over(reader, writer, packed, timeout=timeout)

    run(main())


def _options(asked: Mapping[str, str | bool | None], kind: ChannelKind) -> Options:
    """Give what was asked for beside the kind. Raises UsageError."""
    from xenwire.channels.options import Options

    values = {
        key: "1" if value is True else str(value) for key, value in asked.items() if value or value == ""
    }
    if "replay" in values:
        values["replay"] = str(_size(values["replay"]))
    options = Options.parse(values)
    options.check(kind)
    return options


def _size(text: str) -> int:
    """Read a size such as 4096, 64K, 1M or 1G; gives bytes."""
    match = re.fullmatch(r"([0-9]{1,10})([KMG]?)", text)
    if match is None:
        raise UsageError(f"not a size: {text!r}", hint="write bytes, or 64K, 1M, 1G")
    return int(match[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[match[2]]


def _described(channel: Channel) -> dict[str, Any]:
    return {
        "name": channel.name,
        "devid": channel.devid,
        "kind": str(channel.kind),
        "state": channel.state.name.lower(),
        "place": channel.place,
        "backend": channel.backend_domid,
    }


def _counted(channel: Channel, told: Mapping[DevId, ChannelStatistics]) -> dict[str, Any]:
    found = told.get(channel.devid)
    return {key: getattr(found, key, None) for key in (*_COUNTS, *_MORE, "error")}
