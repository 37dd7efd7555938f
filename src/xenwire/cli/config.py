"""Domain configurations: check, show, compare and import them."""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from xenwire.cli._facts import host_facts, read, source_name, xen_option
from xenwire.cli._output import Manner, emit, note, output_options
from xenwire.cli._params import host_option
from xenwire.cli.config_idl import idl
from xenwire.config import (
    MAX_SIZE,
    ConfigError,
    Diagnostic,
    DomainConfig,
    HostFacts,
    Severity,
    parse_config,
    with_settings,
    xl_verdict,
)
from xenwire.config.libxl.version import NEWEST, V4_17, XenVersion
from xenwire.errors import Conflict, NotFound, UsageError, XenwireError

__all__ = ["config"]

F = TypeVar("F", bound=Callable[..., Any])

_SIGNAL: Final = 128
"""What a shell adds to the number of a signal to have a status."""


@click.group()
def config() -> None:
    """Look at domain configurations: xl.cfg, libxl's JSON, libvirt's XML.

    A FILE may be - for the standard input.
    """


config.add_command(idl)


_formats = output_options("text", "json", "jsonl", "yaml", "name")


def _forms(default: str) -> Callable[[F], F]:
    """Give a command `-o json|cfg|yaml`, the forms of a configuration."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(("json", "cfg", "yaml")),
        default=default,
        show_default=True,
        help="The form to print: libxl's JSON, its data as YAML, or xl.cfg.",
    )


@config.command(
    epilog="\b\nExamples:\n  xenwire config check *.cfg\n  xenwire config check web.cfg memory=512 --like xl"
)
@click.argument("arguments", nargs=-1, required=True, metavar="FILE... [KEY=VALUE]...")
@click.option("--like", type=click.Choice(("xl",)), help="Print and end as `xl create -n FILE` would.")
@_formats
@host_facts
def check(arguments: tuple[str, ...], like: str | None, facts: HostFacts) -> int:
    """Look for mistakes in xl.cfg files. Each KEY=VALUE counts as a further line of each of them.

    Prints errors and warnings with file, line and column; the exit status is 2 if there is an error.
    """
    settings = [argument for argument in arguments if "=" in argument]
    files = [Path(argument) for argument in arguments if "=" not in argument]
    if not files:
        raise UsageError("cannot check settings alone", reason="no FILE is given", hint="add one, or -")
    if like is not None:
        if len(files) > 1:
            raise UsageError("cannot check like xl", reason="xl takes one FILE", hint="run it for each")
        return _like_xl(files[0], settings, facts)
    found = [diagnostic for file in files for diagnostic in _diagnostics(file, settings, facts)]
    emit(map(dataclasses.asdict, found), ("file",), text=list(map(str, found)))
    failed = any(diagnostic.severity is Severity.ERROR for diagnostic in found)
    return UsageError.exit_status if failed else 0


def _diagnostics(file: Path, settings: Sequence[str], facts: HostFacts) -> tuple[Diagnostic, ...]:
    data = with_settings(read(file, MAX_SIZE), settings)
    try:
        return parse_config(data, source_name(file), facts).warnings
    except ConfigError as error:
        return error.diagnostics


def _like_xl(file: Path, settings: Sequence[str], facts: HostFacts) -> int:
    """Say what xl says, byte for byte, and nothing else. Gives its exit status."""
    try:
        data = read(file, MAX_SIZE)
    except XenwireError as error:
        if not isinstance(error.__cause__, OSError):
            raise
        click.echo(f"Failed to read config file: {file}: {error.__cause__.strerror}", err=True)
        return 3
    manner = click.get_current_context().find_object(Manner)
    verdict = xl_verdict(
        with_settings(data, settings), source_name(file), facts, quiet=manner is not None and manner.quiet
    )
    click.echo(verdict.words, nl=False, err=True)
    if verdict.status >= 0:
        return verdict.status
    note(f"xenwire: here xl would crash with signal {-verdict.status}")
    return _SIGNAL - verdict.status


@config.command(
    epilog="\b\nExamples:\n  xenwire config show web.cfg memory=512\n"
    "  xenwire config show --domain web -o cfg"
)
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.argument("settings", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--domain", metavar="NAME", help="A domain that runs, or one of a listing in FILE.")
@_forms("json")
@host_facts
@host_option
def show(
    file: Path | None,
    settings: tuple[str, ...],
    domain: str | None,
    output: str,
    facts: HostFacts,
    host: str | None,
) -> None:
    """Show what the xl.cfg FILE means, as `xl create -n` does, or a configuration in JSON.

    FILE is an xl.cfg, to which each KEY=VALUE adds a line; or libxl's JSON of a domain; or a listing, as
    `xl list -l` prints it. Without FILE, --domain is a domain that runs. Warnings go to stderr.
    """
    if file is not None:
        loaded = _load(file, settings, domain, facts)
    elif domain is not None:
        loaded = _Loaded(_running(domain, host), json=True)
    else:
        raise UsageError("cannot show a configuration", reason="neither FILE nor --domain is given")
    shown = loaded.config
    if output != "cfg" and not loaded.json and shown.c_info.uuid is None:
        shown = shown.replace(c_info=shown.c_info.replace(uuid=uuid.uuid4()))  # as xl does
    _say(loaded.warnings)
    _print(shown, output, facts, said=loaded.warnings)


@config.command(
    epilog="\b\nExamples:\n  xenwire config diff old.cfg new.cfg\n"
    "  xl list -l 3 | xenwire config diff web.cfg -"
)
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@_formats
@host_facts
def diff(a: Path, b: Path, facts: HostFacts) -> int:
    """Show in what the configurations A and B differ, each an xl.cfg or JSON.

    Devices are matched by what identifies them. The exit status is 1 if there is a difference.
    """
    from xenwire.config.compare import compare

    found = compare(_load(a, (), None, facts).config, _load(b, (), None, facts).config)
    emit(map(dataclasses.asdict, found), ("path",), text=list(map(str, found)))
    return 1 if found else 0


@config.command(
    epilog="\b\nExamples:\n  xenwire config schema > domain.schema.json\n  xenwire config schema --xen 4.20"
)
@xen_option
def schema(xen: XenVersion | None) -> None:
    """Print the JSON Schema of libxl's configuration of a domain, for editors and checks."""
    from xenwire.config.libxl.schema import json_schema

    click.echo(json.dumps(json_schema(DomainConfig, xen or V4_17), indent=2))


@config.command(
    "import",
    epilog="\b\nExamples:\n  xenwire config import web.xml > web.cfg\n"
    "  virsh dumpxml --inactive web | xenwire config import -",
)
@click.argument("file", type=click.Path(path_type=Path))
@_forms("cfg")
@xen_option
def import_(file: Path, output: str, xen: XenVersion | None) -> None:
    """Make an xl.cfg of libvirt's domain XML, of a Xen domain or, as far as that goes, of a QEMU one.

    What has no counterpart is told on stderr.
    """
    from xenwire.config.libvirt import MAX_SIZE as MAX_XML
    from xenwire.config.libvirt import from_libvirt

    imported = from_libvirt(read(file, MAX_XML), source_name(file))
    _say(imported.warnings)
    _print(imported.config, output, HostFacts(version=xen or V4_17))


@dataclasses.dataclass(frozen=True)
class _Loaded:
    config: DomainConfig
    warnings: tuple[Diagnostic, ...] = ()
    json: bool = False
    """Whether it comes from JSON, or from a host."""


def _load(file: Path, settings: Sequence[str], domain: str | None, facts: HostFacts) -> _Loaded:
    """Read an xl.cfg or JSON; of a listing, the domain that is wanted."""
    from xenwire.config.libxl.json_reader import from_json, read_listing
    from xenwire.config.libxl.json_text import MAX_SIZE as MAX_JSON

    data, source = read(file, MAX_JSON), source_name(file)
    first = data[:_BLANKS].lstrip()[:1]
    if first == b"[" and not settings:
        return _Loaded(_listed(read_listing(data, version=NEWEST, source=source), domain, source), json=True)
    if domain is not None:
        raise UsageError(f"cannot look for a domain in {source}", reason="it is no listing of domains")
    if first not in (b"{", b"["):
        parsed = parse_config(with_settings(data, settings), source, facts)
        return _Loaded(parsed.config, parsed.warnings)
    if settings:
        raise UsageError(f"cannot add settings to {source}", reason="it is JSON, and no xl.cfg")
    return _Loaded(from_json(data, DomainConfig, version=NEWEST, source=source), json=True)


_BLANKS: Final = 4096
"""The bytes at the start of JSON that may be blank."""


def _listed(domains: Sequence[tuple[int, DomainConfig]], wanted: str | None, source: str) -> DomainConfig:
    found = [
        config for domid, config in domains if wanted is None or wanted in (str(domid), config.c_info.name)
    ]
    if len(found) == 1:
        return found[0]
    names = ", ".join(f"{config.c_info.name} (domid {domid})" for domid, config in domains)
    reason = f"it lists {names}" if domains else "it lists none"
    if not found:
        raise NotFound(f"there is no such domain in {source}", reason=reason)
    raise Conflict(f"there are several domains in {source}", reason=reason, hint="choose one: --domain NAME")


def _running(name: str, host: str | None) -> DomainConfig:
    from xenwire.hosts import connect
    from xenwire.runtime.main import run

    async def main() -> DomainConfig:
        async with connect(host) as where:
            return await (await where.find(name)).config()

    return run(main())


def _print(
    config: DomainConfig,
    output: str,
    facts: HostFacts,
    said: Iterable[Diagnostic] = (),
) -> None:
    """Print a configuration, and tell what the form, or that version of Xen, has no words for."""
    if output == "cfg":
        from xenwire.config.render import losses, render

        click.echo(render(config, facts), nl=False)
        known = {diagnostic.message for diagnostic in said}
        _say(loss for loss in losses(config, "xl.cfg", facts) if loss.message not in known)
        return
    from xenwire.config.libxl.json_writer import lost, to_data, to_json

    version = facts.version
    if (
        click.get_current_context().params["xen"] is None  # then nobody wants just that version
        and len(lost(config, NEWEST)) < len(lost(config, version))
    ):
        version = NEWEST
    if output == "json":
        click.echo(to_json(config, version), nl=False)
    else:
        from xenwire.config.yaml_text import to_yaml

        click.echo(to_yaml(to_data(config, version)), nl=False)
    for path in lost(config, version):
        note(f"warning: Xen {version} does not know {path}")


def _say(diagnostics: Iterable[Diagnostic]) -> None:
    for diagnostic in diagnostics:
        note(str(diagnostic))
