"""How commands speak: data on stdout in the form asked for, progress and errors on stderr."""

from __future__ import annotations

import json
import os
import select
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO, TypeVar

import click

from xenwire.errors import XenwireError

__all__ = [
    "Manner",
    "Phases",
    "emit",
    "note",
    "output_option",
    "printable",
    "report",
    "silence",
    "unwritable",
    "write_all",
]

FORMATS: Final = ("table", "wide", "json", "jsonl", "yaml", "name")

F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class Manner:
    """How a command is to speak. It is the object of click's contexts."""

    format: str = "table"
    quiet: bool = False

    @property
    def json(self) -> bool:
        """Whether errors are JSON; then stderr has nothing else."""
        return self.format in ("json", "jsonl")


def _manner() -> Manner:
    context = click.get_current_context(silent=True)
    found = context.find_object(Manner) if context else None
    return found or Manner()


def output_options(*formats: str) -> Callable[[F], F]:
    """Give a command `-o FORMAT`, of which the first is the default, and `--json`."""

    def remember(context: click.Context, _parameter: click.Parameter, value: str | bool) -> None:
        if value:
            context.ensure_object(Manner).format = value if isinstance(value, str) else "json"

    shared: dict[str, Any] = {"expose_value": False, "is_eager": True, "callback": remember}

    def add(function: F) -> F:
        function = click.option("--json", is_flag=True, help="Short for -o json.", **shared)(function)
        help_text = f"How to print the result.  [default: {formats[0]}]"
        return click.option("-o", "--output", type=click.Choice(formats), help=help_text, **shared)(function)

    return add


output_option = output_options(*FORMATS)
"""Gives a command that prints records `-o FORMAT` and `--json`."""


def emit(
    records: Iterable[Mapping[str, Any]],
    columns: Sequence[str],
    *,
    wide: Sequence[str] = (),
    one: bool = False,
    mib: Sequence[str] = (),
    text: Sequence[str] | None = None,
) -> None:
    """Print records in the format asked for.

    A table shows `columns`, -o wide `wide` as well, -o name the first column only; the other formats show
    every field. `one`: the result is a single record, and JSON shows it without a list around it. `mib`:
    fields in bytes that a table shows in MiB. `text`: what to print in a table's place.
    """
    rows = list(records)
    match _manner().format:
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
        case _ if text is not None:
            for paragraph in text:
                click.echo(_paragraph(paragraph))
        case format_:
            shown = [{**row, **{key: _mib(row[key]) for key in mib}} for row in rows]
            _table(shown, [*columns, *wide] if format_ == "wide" else list(columns), one)


def _mib(size: int | None) -> str | None:
    return None if size is None else f"{size >> 20} MiB"


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return printable(",".join(map(str, value))) or "-"
    return "-" if value is None else printable(str(value))


def printable(text: str) -> str:
    """Keep what others wrote, a guest perhaps, from steering the user's terminal or leaving its line."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _paragraph(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))


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


def note(text: str) -> None:
    """Say something on stderr that is neither result nor error; not where errors are JSON."""
    if not _manner().json:
        _say(_paragraph(text))


def report(error: XenwireError, manner: Manner) -> None:
    """Print an error on stderr: three lines, or JSON where JSON was asked for."""
    if manner.json:
        _say(json.dumps({"error": error.as_dict()}, default=str))
        return
    _say(f"xenwire: {printable(error.message)}")
    if error.reason:
        _say("  why: " + _paragraph(error.reason).replace("\n", "\n       "))
    if error.hint and not manner.quiet:
        _say(f"  try: {printable(error.hint)}")


def _say(text: str) -> None:
    """Print on stderr; where that cannot be, the exit status alone has to tell."""
    try:
        click.echo(text, err=True)
    except OSError:
        silence(sys.stderr)


def silence(stream: TextIO) -> None:
    """Have what a stream still holds, and all that follows, go nowhere."""
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


def write_all(fd: int, data: bytes) -> None:
    """Write every byte of an output, also to a descriptor that another process has set non-blocking.

    Raises BrokenPipeError if the reader has gone, XenwireError if it cannot be written otherwise.
    """
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(fd, left) :]
        except BlockingIOError:
            select.select([], [fd], [])
        except BrokenPipeError:
            raise
        except OSError as error:
            raise unwritable(error) from error


def unwritable(error: OSError) -> XenwireError:
    """Give the error to report where output cannot be written."""
    return XenwireError(
        "cannot write the output",
        reason=f"stdout: {error.strerror}",
        hint="see that stdout is open and its disk has room",
    )


class Phases:
    """Progress in phases with the time since the start, on stderr, silenced by -q and with JSON."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._quiet = _manner().quiet

    def __call__(self, text: str) -> None:
        if not self._quiet:
            note(f"{text}, {time.monotonic() - self._start:.1f} s")
