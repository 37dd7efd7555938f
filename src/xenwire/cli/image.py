"""Images of guests."""

from __future__ import annotations

import click

from xenwire.cli._output import Phases, emit, output_option
from xenwire.errors import NotFound
from xenwire.images import GuestImage, build_tiny_guest, tiny_guest
from xenwire.runtime.main import run

__all__ = ["image"]

_COLUMNS = ("kernel", "bzimage", "ramdisk", "cmdline")


@click.group()
def image() -> None:
    """The tiny Linux guest: something to boot where there is nothing else."""


@image.command(epilog="\b\nExamples:\n  xenwire image build\n  xenwire image build --force --json")
@click.option("--force", is_flag=True, help="Fetch its packages again, in their current versions.")
@output_option
def build(force: bool) -> None:
    """Build the tiny guest from Debian's packages, unless that has been done; show where it is."""
    _show(run(build_tiny_guest(Phases(), force=force)))


@image.command(epilog="\b\nExamples:\n  xenwire image path\n  xenwire image path --json")
@output_option
def path() -> None:
    """Show where the tiny guest is, and the command line that its kernel wants."""
    found = tiny_guest()
    if found is None:
        raise NotFound(
            "cannot show the tiny guest",
            reason="it has not been built yet",
            hint="build it: xenwire image build",
        )
    _show(found)


def _show(found: GuestImage) -> None:
    record = {
        "kernel": str(found.kernel),
        "bzimage": str(found.bzimage),
        "ramdisk": str(found.ramdisk),
        "cmdline": found.cmdline,
        "key": found.key,
        "packages": list(found.packages),
    }
    emit([record], _COLUMNS, wide=("key", "packages"), one=True)
