"""What the commands about configurations need to know of a host, and how they read files."""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from xenwire.cli._params import read_file
from xenwire.config import MAX_SIZE, HostFacts
from xenwire.config.libxl.version import V4_17, XenVersion
from xenwire.errors import UsageError

__all__ = ["host_facts", "read", "source_name", "xen_option"]

F = TypeVar("F", bound=Callable[..., Any])

_STDIN: Final = "-"


def read(file: Path, limit: int) -> bytes:
    """Read a file, or the standard input if it is called `-`. Raises as `read_file` does."""
    if str(file) != _STDIN:
        return read_file(file, limit)
    data = sys.stdin.buffer.read(limit + 1)
    if len(data) > limit:
        raise UsageError("cannot read the standard input", reason=f"it has more than {limit} bytes")
    return data


def source_name(file: Path) -> str:
    """Give the name of a file for messages."""
    return "<stdin>" if str(file) == _STDIN else str(file)


def _version(_context: click.Context, _parameter: click.Parameter, value: str | None) -> XenVersion | None:
    return None if value is None else XenVersion.parse(value)


xen_option = click.option(
    "--xen",
    metavar="VERSION",
    callback=_version,
    help=f"The release of Xen, such as 4.18 or 4.17.5.  [default: {V4_17}]",
)

_OPTIONS: Final = (
    xen_option,
    click.option(
        "--cpus", type=click.IntRange(1, 4096), default=4, show_default=True, help="The host's processors."
    ),
    click.option(
        "--nodes", type=click.IntRange(1, 64), default=1, show_default=True, help="The host's NUMA nodes."
    ),
    click.option("--firmware", metavar="DIR", help="The host's folder of Xen's firmware for guests."),
    click.option("--xl-conf", metavar="FILE", type=click.Path(path_type=Path), help="The host's xl.conf."),
)


def host_facts(function: F) -> F:
    """Give a command the options that describe a host, as one argument `facts`.

    None of it is asked of this machine: without options it is a host with Debian 12's Xen.
    """

    @functools.wraps(function)
    def with_facts(
        *arguments: Any,
        xen: XenVersion | None,
        cpus: int,
        nodes: int,
        firmware: str | None,
        xl_conf: Path | None,
        **options: Any,
    ) -> Any:
        facts = HostFacts(version=xen or V4_17, cpus=cpus, nodes=nodes)
        if firmware is not None:
            facts = dataclasses.replace(facts, firmware=firmware)
        if xl_conf is not None:
            from xenwire.config.xl.conf import read_xl_conf

            conf = read_xl_conf(read(xl_conf, MAX_SIZE), source_name(xl_conf))
            facts = dataclasses.replace(facts, conf=conf)
        return function(*arguments, facts=facts, **options)

    decorated: Any = with_facts
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]  # click's decorators keep no types
