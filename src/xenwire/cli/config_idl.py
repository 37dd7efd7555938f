"""Interface files: what libxl's types are, and how they differ between releases."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from xenwire.cli._output import emit, note, output_options
from xenwire.cli._params import read_file
from xenwire.config.idl import MAX_SIZE, Interface, as_dict, differences, listing, read_idl
from xenwire.errors import NotFound

__all__ = ["idl"]


@click.command(
    epilog="\b\nExamples:\n"
    "  xenwire config idl libxl_types.idl --type device_channel\n"
    "  xenwire config idl 4.17/libxl_types.idl 4.20/libxl_types.idl -o json"
)
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("other", required=False, type=click.Path(path_type=Path))
@click.option("--type", "name", metavar="NAME", help="Show this type only; its prefix may be left out.")
@output_options("text", "json")
def idl(file: Path, other: Path | None, name: str | None) -> None:
    """Show the types that the interface FILE (libxl_types.idl) describes.

    With OTHER, show what is different in OTHER. The files are read, and never run as a program.
    """
    interface = _read(file)
    if other is None:
        (interface,) = _select(name, interface)
        emit([as_dict(interface)], (), one=True, text=listing(interface))
        return
    found = differences(*_select(name, interface, _read(other)))
    emit(map(dataclasses.asdict, found), (), text=list(map(str, found)))
    if not found:
        note("there is no difference")


def _read(file: Path) -> Interface:
    return read_idl(read_file(file, MAX_SIZE), str(file))


def _select(name: str | None, *interfaces: Interface) -> tuple[Interface, ...]:
    """Give the type that the user wants of each interface, or all. Raises NotFound if none has it."""
    if name is None:
        return interfaces
    selected = tuple(interface.select(name) for interface in interfaces)
    if not any(interface.builtins or interface.types for interface in selected):
        raise NotFound(
            f"there is no type {name}",
            reason="the interface does not describe it",
            hint="leave out --type to see all",
        )
    return selected
