"""Images of guests."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Final

import click

from xenwire.cli._output import Phases, emit, output_option
from xenwire.errors import NotFound
from xenwire.images import (
    DebianGuest,
    GuestImage,
    build_debian_guest,
    build_tiny_guest,
    debian_guest,
    tiny_guest,
)
from xenwire.runtime.main import run

__all__ = ["image"]

_Guest = GuestImage | DebianGuest

_BUILD: Final[Mapping[str, Callable[..., Coroutine[Any, Any, _Guest]]]] = {
    "tiny": build_tiny_guest,
    "debian": build_debian_guest,
}
_FIND: Final[Mapping[str, Callable[[], _Guest | None]]] = {"tiny": tiny_guest, "debian": debian_guest}
_WIDE: Final = ("key", "packages")

_guest = click.argument("guest", type=click.Choice(tuple(_BUILD)), default="tiny")


@click.group()
def image() -> None:
    """Guests to boot: a tiny Linux that is up in seconds, and Debian with systemd, udev and cloud-init."""


@image.command(
    epilog="\b\nExamples:\n  xenwire image build\n  xenwire image build debian\n"
    "  xenwire image build --force --json"
)
@_guest
@click.option("--force", is_flag=True, help="Fetch its packages again, in their current versions.")
@output_option
def build(guest: str, force: bool) -> None:
    """Build a guest from Debian's packages, unless that has been done; show where it is.

    GUEST is tiny, if nothing is said, or debian.
    """
    _show(run(_BUILD[guest](Phases(), force=force)))


@image.command(epilog="\b\nExamples:\n  xenwire image path\n  xenwire image path debian --json")
@_guest
@output_option
def path(guest: str) -> None:
    """Show where a guest is, and the command line that its kernel wants.

    GUEST is tiny, if nothing is said, or debian.
    """
    found = _FIND[guest]()
    if found is None:
        raise NotFound(
            f"cannot show the {guest} guest",
            reason="it has not been built yet",
            hint=f"build it: xenwire image build {guest}",
        )
    _show(found)


def _show(found: _Guest) -> None:
    fields = dataclasses.asdict(found)
    record = {key: str(value) if isinstance(value, Path) else value for key, value in fields.items()}
    emit([record], [key for key in record if key not in _WIDE], wide=_WIDE, one=True)
