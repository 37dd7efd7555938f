"""Domain configurations."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from xenwire.cli._output import emit, output_option
from xenwire.cli._params import read_file
from xenwire.config import ConfigError, Diagnostic, Severity, parse_config
from xenwire.config.xlcfg import MAX_SIZE
from xenwire.errors import UsageError

__all__ = ["config"]


@click.group()
def config() -> None:
    """Look at domain configurations (xl.cfg)."""


@config.command(epilog="\b\nExamples:\n  xenwire config check guest.cfg\n  xenwire config check *.cfg --json")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@output_option
def check(files: tuple[Path, ...]) -> int:
    """Look for mistakes in the xl.cfg FILES.

    Prints errors and warnings with file, line and column; the exit status is 2 if there is an error.
    """
    found = [diagnostic for file in files for diagnostic in _diagnostics(file)]
    emit(map(dataclasses.asdict, found), ("file",), text=list(map(str, found)))
    failed = any(diagnostic.severity is Severity.ERROR for diagnostic in found)
    return UsageError.exit_status if failed else 0


def _diagnostics(file: Path) -> tuple[Diagnostic, ...]:
    try:
        return parse_config(read_file(file, MAX_SIZE), str(file)).warnings
    except ConfigError as error:
        return error.diagnostics
