"""How commands speak: data on stdout in the form asked for, progress and errors on stderr."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

import click

from xenwire.errors import XenwireError

__all__ = ["Phases", "emit", "output_option", "report"]

FORMATS: Final = ("table", "wide", "json", "jsonl", "yaml", "name")
_KEY: Final = "xenwire.output"

F = TypeVar("F", bound=Callable[..., Any])


def output_option(function: F) -> F:
    """Give a command `-o FORMAT` and `--json`."""

    def remember(context: click.Context, _parameter: click.Parameter, value: str | bool) -> None:
        if value:
            context.find_root().meta[_KEY] = value if isinstance(value, str) else "json"

    function = click.option(
        "--json",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=remember,
        help="Short for -o json.",
    )(function)
    return click.option(
        "-o",
        "--output",
        type=click.Choice(FORMATS),
        expose_value=False,
        is_eager=True,
        callback=remember,
        help="How to print the result.  [default: table]",
    )(function)


def emit(
    records: Iterable[Mapping[str, Any]],
    columns: Sequence[str],
    *,
    wide: Sequence[str] = (),
    one: bool = False,
    mib: Sequence[str] = (),
) -> None:
    """Print records in the format asked for.

    A table shows `columns`, -o wide `wide` as well, -o name the first column only; the other formats show
    every field. `one`: the result is a single record, and JSON shows it without a list around it. `mib`:
    fields in bytes that a table shows in MiB.
    """
    rows = list(records)
    match _format():
        case "json":
            click.echo(json.dumps(rows[0] if one else rows, indent=2))
        case "jsonl":
            for row in rows:
                click.echo(json.dumps(row))
        case "yaml":
            for row in rows:
                lines = [f"{key}: {json.dumps(value)}" for key, value in row.items()]
                indented = lines if one else ["- " + lines[0], *("  " + line for line in lines[1:])]
                click.echo("\n".join(indented))
            if not rows:
                click.echo("[]")
        case "name":
            for row in rows:
                click.echo(_text(row[columns[0]]))
        case format_:
            shown = [{**row, **{key: f"{row[key] >> 20} MiB" for key in mib}} for row in rows]
            _table(shown, [*columns, *wide] if format_ == "wide" else list(columns), one)


def _format() -> str:
    context = click.get_current_context(silent=True)
    found = context.find_root().meta.get(_KEY) if context else None
    return str(found or "table")


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, value)) or "-"
    return "-" if value is None else _printable(str(value))


def _printable(text: str) -> str:
    """Keep what others wrote, a guest perhaps, from steering the user's terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


def _table(rows: Sequence[Mapping[str, Any]], columns: list[str], one: bool) -> None:
    if one:
        width = max(map(len, columns)) + 2
        for column in columns:
            click.echo(f"{column:{width}}{_text(rows[0][column])}")
        return
    cells = [[column.upper() for column in columns], *([_text(row[c]) for c in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def report(error: XenwireError) -> None:
    """Print an error on stderr: three lines, or JSON where JSON was asked for."""
    if _format() in ("json", "jsonl"):
        click.echo(json.dumps({"error": error.as_dict()}, default=str), err=True)
        return
    click.echo(f"xenwire: {_printable(error.message)}", err=True)
    for label, text in (("why", error.reason), ("try", error.hint)):
        if text:
            lines = _printable(text).replace("\n", "\n       ")
            click.echo(f"  {label}: {lines}", err=True)


class Phases:
    """Progress in phases with the time since the start, on stderr, silenced by -q."""

    def __init__(self, total: int | None = None) -> None:
        self._start = time.monotonic()
        self._total = total
        self._count = 0
        context = click.get_current_context(silent=True)
        self._quiet = bool(context and context.find_root().meta.get("xenwire.quiet"))

    def __call__(self, text: str) -> None:
        self._count += 1
        count = f"{self._count}/{self._total} " if self._total else ""
        if not self._quiet:
            click.echo(f"{count}{text}, {time.monotonic() - self._start:.1f} s", err=True)
