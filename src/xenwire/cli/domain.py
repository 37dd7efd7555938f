"""Domains: create, list, destroy, pause, unpause, wait."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from xenwire.channels.keys import OUR_TYPE, QEMU_TYPE
from xenwire.cli._output import Phases, emit, note, output_option, printable
from xenwire.cli._params import domain_argument, duration, host_option, read_file
from xenwire.errors import Conflict, UsageError
from xenwire.hosts import Domain, DomainInfo, DomainState, connect
from xenwire.runtime.main import commit, run

if TYPE_CHECKING:
    from xenwire.config import ParsedConfig

__all__ = ["create", "destroy", "list_domains", "pause", "unpause", "wait"]

_COLUMNS = ("name", "domid", "state", "memory", "vcpus")


def emit_domains(infos: list[DomainInfo], *, one: bool = False) -> None:
    """Print domains in the format asked for."""
    records = [
        {
            "name": info.name,
            "domid": info.domid,
            "state": str(info.state),
            "memory": info.memory << 20,
            "vcpus": info.vcpus,
            "uuid": str(info.uuid),
        }
        for info in infos
    ]
    emit(records, _COLUMNS, wide=("uuid",), one=one, mib=("memory",))


def load_config(path: Path, settings: Sequence[str] = ()) -> tuple[bytes, ParsedConfig]:
    """Read a configuration, with settings that count after it. Raises NotFound, XenwireError, ConfigError."""
    from xenwire.config import MAX_SIZE, HostFacts, parse_config, with_settings
    from xenwire.config.libxl.version import NEWEST

    text = with_settings(read_file(path, MAX_SIZE), settings)
    return text, parse_config(text, str(path), HostFacts(version=NEWEST))


def _act(host: str | None, domain: str, action: Callable[[Domain], Awaitable[None]]) -> None:
    """Find a domain and do something with it."""

    async def main() -> None:
        async with connect(host) as where:
            await action(await where.find(domain))
            await commit()

    run(main())


@click.command(epilog="\b\nExamples:\n  xenwire create guest.cfg\n  xenwire create guest.cfg --paused")
@click.argument("config", type=click.Path(path_type=Path))
@click.argument("settings", nargs=-1, metavar="[KEY=VALUE]...")
@host_option
@click.option("--paused", is_flag=True, help="Leave its processors stopped.")
@click.option("--console", "attach", is_flag=True, help="Attach to its console before its first word.")
@click.option("--dry-run", is_flag=True, help="Print what would be done, and do nothing.")
@click.option(
    "--backend",
    type=click.Choice(["xenwire", "qemu"]),
    help="Who serves its channels: `xenwire serve`, or a QEMU of its own.",
)
@click.option(
    "--timeout",
    type=duration,
    default="60s",
    show_default=True,
    help="How long its device model may take to be ready.",
)
@output_option
def create(
    config: Path,
    settings: tuple[str, ...],
    host: str | None,
    paused: bool,
    attach: bool,
    dry_run: bool,
    backend: str | None,
    timeout: float,
) -> None:
    """Create a domain from the xl.cfg file CONFIG; each KEY=VALUE counts as a further line of it.

    It outlives this command. If anything fails, or you press Ctrl-C, nothing of it is left; with --console
    that holds until its console has been joined.
    """
    text, parsed = load_config(config, settings)
    phases = Phases()
    channel_type = backend and {"xenwire": OUR_TYPE, "qemu": QEMU_TYPE}[backend]

    async def main() -> None:
        async with connect(host) as where:
            if where.used_keys is not None:  # else xl warns in its own words
                for warning in parsed.warnings:
                    note(str(warning))
                if unused := sorted(parsed.keys - parsed.unknown - where.used_keys):
                    note(f"{config}: a host without Xen makes nothing of {', '.join(unused)}")
            if dry_run:
                plan = await where.plan(parsed.config, text=text, channel_type=channel_type)
                emit(({"step": step} for step in plan), ("step",), text=plan)
                return
            domain = await where.create(
                parsed.config,
                text=text,
                paused=paused or attach,
                timeout=timeout,
                progress=phases,
                channel_type=channel_type,
            )
            async with AsyncExitStack() as undo:
                undo.push_async_callback(domain.destroy)
                if not attach:
                    info = await domain.info()
                    await commit()
                    emit_domains([info], one=True)
                    undo.pop_all()
                    return

                from xenwire.cli._terminal import join_terminal

                async def start() -> None:
                    if not paused:
                        await domain.unpause()
                    undo.pop_all()

                await join_terminal(await domain.console(), start=start)

    run(main())


@click.command("list", epilog="\b\nExamples:\n  xenwire list\n  xenwire list web -o json")
@click.argument("domains", nargs=-1)
@host_option
@output_option
def list_domains(domains: tuple[str, ...], host: str | None) -> None:
    """List all domains, or those named."""

    async def main() -> list[DomainInfo]:
        async with connect(host) as where:
            if domains:
                return [await (await where.find(name)).info() for name in domains]
            return await where.domains()

    emit_domains(run(main()))


@click.command(epilog="\b\nExamples:\n  xenwire destroy web\n  xenwire destroy 3 --yes")
@domain_argument
@host_option
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def destroy(domain: str, host: str | None, yes: bool) -> None:
    """End DOMAIN at once, as if its power were cut, and remove all that it left."""

    confirmed: tuple[int, str] | None = None

    async def look() -> tuple[int, str]:
        async with connect(host) as where:
            found = await where.find(domain)
            return found.domid, found.name

    async def end(found: Domain) -> None:
        if confirmed not in (None, (found.domid, found.name)):
            raise Conflict(
                f"cannot destroy {domain}",
                reason=f"meanwhile it means domain {found.name} (domid {found.domid})",
                hint="see: xenwire list",
            )
        await found.destroy()

    if not yes and sys.stdin.isatty():
        domid, name = confirmed = run(look())
        click.confirm(f"Destroy domain {printable(name)} (domid {domid})?", abort=True, err=True)
    _act(host, domain, end)


@click.command(epilog="\b\nExamples:\n  xenwire pause web\n  xenwire pause 3")
@domain_argument
@host_option
def pause(domain: str, host: str | None) -> None:
    """Stop the processors of DOMAIN."""
    _act(host, domain, lambda found: found.pause())


@click.command(epilog="\b\nExamples:\n  xenwire unpause web\n  xenwire unpause 3")
@domain_argument
@host_option
def unpause(domain: str, host: str | None) -> None:
    """Let the processors of DOMAIN run."""
    _act(host, domain, lambda found: found.unpause())


@click.command(
    epilog="\b\nExamples:\n  xenwire wait web --for state=running\n"
    "  xenwire wait web --for state=shutdown --timeout 5m"
)
@domain_argument
@host_option
@click.option(
    "--for", "condition", required=True, metavar="KEY=VALUE", help="state=STATE, e.g. state=running."
)
@click.option("--timeout", type=duration, default="30s", show_default=True, help="How long to wait.")
@output_option
def wait(domain: str, host: str | None, condition: str, timeout: float) -> None:
    """Wait until DOMAIN is in a state: running, paused, shutdown or crashed."""
    key, _, value = condition.partition("=")
    if key != "state" or value not in list(DomainState):
        raise UsageError(
            f"cannot wait for {condition!r}",
            reason="it is no state of a domain",
            hint="--for takes state= and one of " + ", ".join(DomainState),
        )

    async def main() -> DomainInfo:
        async with connect(host) as where:
            return await (await where.find(domain)).wait_state([DomainState(value)], timeout)

    emit_domains([run(main())], one=True)
