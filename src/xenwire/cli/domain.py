"""Domains: create, list, destroy, pause, unpause, wait."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from xenwire.cli._output import Phases, emit, output_option
from xenwire.cli._params import DURATION, domain_argument, host_option, read_file
from xenwire.errors import UsageError
from xenwire.hosts import DomainInfo, DomainState, connect
from xenwire.runtime.main import run

if TYPE_CHECKING:
    from xenwire.config import DomainConfig

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


def load_config(path: Path) -> DomainConfig:
    """Read a configuration; its warnings go to stderr. Raises NotFound, XenwireError, ConfigError."""
    from xenwire.config import parse_config

    parsed = parse_config(read_file(path), str(path))
    for warning in parsed.warnings:
        click.echo(str(warning), err=True)
    return parsed.config


@click.command(epilog="\b\nExamples:\n  xenwire create guest.cfg\n  xenwire create guest.cfg --paused")
@click.argument("config", type=click.Path(path_type=Path))
@host_option
@click.option("--paused", is_flag=True, help="Leave its processors stopped.")
@click.option("--console", "attach", is_flag=True, help="Attach to its console before its first word.")
@click.option("--dry-run", is_flag=True, help="Print what would be done, and do nothing.")
@click.option(
    "--timeout",
    type=DURATION,
    default="60s",
    show_default=True,
    help="How long its device model may take to be ready.",
)
@output_option
def create(config: Path, host: str | None, paused: bool, attach: bool, dry_run: bool, timeout: float) -> None:
    """Create a domain from the xl.cfg file CONFIG.

    It outlives this command. If anything fails, or you press Ctrl-C, nothing of it is left.
    """
    domain_config = load_config(config)
    phases = Phases()

    async def main() -> None:
        async with connect(host) as where:
            if dry_run:
                for line in await where.plan(domain_config):
                    click.echo(line)
                return
            domain = await where.create(
                domain_config, paused=paused or attach, timeout=timeout, progress=phases
            )
            if attach:
                from xenwire.cli._terminal import join_terminal

                await join_terminal(await domain.console(), start=None if paused else domain.unpause)
                return
            try:
                info = await domain.info()
            except BaseException:  # interrupted: the user counts on nothing being left
                await domain.destroy()
                raise
            emit_domains([info], one=True)

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

    async def main() -> None:
        async with connect(host) as where:
            found = await where.find(domain)
            if not yes and sys.stdin.isatty():
                click.confirm(f"Destroy domain {found.name} (domid {found.domid})?", abort=True, err=True)
            await found.destroy()

    run(main())


@click.command(epilog="\b\nExamples:\n  xenwire pause web\n  xenwire pause 3")
@domain_argument
@host_option
def pause(domain: str, host: str | None) -> None:
    """Stop the processors of DOMAIN."""

    async def main() -> None:
        async with connect(host) as where:
            await (await where.find(domain)).pause()

    run(main())


@click.command(epilog="\b\nExamples:\n  xenwire unpause web\n  xenwire unpause 3")
@domain_argument
@host_option
def unpause(domain: str, host: str | None) -> None:
    """Let the processors of DOMAIN run."""

    async def main() -> None:
        async with connect(host) as where:
            await (await where.find(domain)).unpause()

    run(main())


@click.command(
    epilog="\b\nExamples:\n  xenwire wait web --for state=running\n"
    "  xenwire wait web --for state=shutdown --timeout 5m"
)
@domain_argument
@host_option
@click.option(
    "--for", "condition", required=True, metavar="KEY=VALUE", help="state=STATE, e.g. state=running."
)
@click.option("--timeout", type=DURATION, default="30s", show_default=True, help="How long to wait.")
@output_option
def wait(domain: str, host: str | None, condition: str, timeout: float) -> None:
    """Wait until DOMAIN is in a state: running, paused, shutdown or crashed."""
    key, _, value = condition.partition("=")
    if key != "state" or value not in list(DomainState):
        raise UsageError(
            f"cannot wait for {condition!r}",
            hint="--for takes state= and one of " + ", ".join(DomainState),
        )

    async def main() -> DomainInfo:
        async with connect(host) as where:
            return await (await where.find(domain)).wait_state([DomainState(value)], timeout)

    emit_domains([run(main())], one=True)
