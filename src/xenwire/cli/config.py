"""Domain configurations."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click

from xenwire.cli._params import read_file
from xenwire.config import ConfigError, Diagnostic, Severity, parse_config
from xenwire.errors import UsageError

__all__ = ["config"]


@click.group()
def config() -> None:
    """Look at domain configurations (xl.cfg)."""


@config.command(epilog="\b\nExamples:\n  xenwire config check guest.cfg\n  xenwire config check *.cfg --json")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the diagnostics as a JSON list.")
def check(files: tuple[Path, ...], as_json: bool) -> int:
    """Look for mistakes in the xl.cfg FILES.

    Prints errors and warnings with file, line and column; the exit status is 2 if there is an error.
    """
    found = [diagnostic for file in files for diagnostic in _diagnostics(file)]
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(diagnostic) for diagnostic in found], indent=2))
    else:
        for diagnostic in found:
            click.echo(str(diagnostic))
    failed = any(diagnostic.severity is Severity.ERROR for diagnostic in found)
    return UsageError.exit_status if failed else 0


def _diagnostics(file: Path) -> tuple[Diagnostic, ...]:
    try:
        return parse_config(read_file(file), str(file)).warnings
    except ConfigError as error:
        return error.diagnostics
