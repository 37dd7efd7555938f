"""The guest agent at the end of a channel."""

from __future__ import annotations

import dataclasses
import datetime
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, TextIO

import click

from xenwire.agent import ExecResult, GuestAgent, GuestInfo
from xenwire.cli._output import emit, note, output_option, write_all
from xenwire.cli._params import domain_argument, duration, host_option
from xenwire.cli._terminal import EscapeFilter
from xenwire.hosts import connect
from xenwire.runtime.main import run
from xenwire.runtime.streams import open_stream

__all__ = ["agent", "exit_status", "record"]

_PING_COLUMNS: Final = ("domain", "channel", "seconds")
_INFO_COLUMNS: Final = ("os_pretty_name", "kernel_release", "machine", "host_name", "time", "version")

channel_option = click.option(
    "--channel",
    metavar="NAME",
    default="org.qemu.guest_agent.0",
    show_default=True,
    help="The channel that the agent listens on.",
)
timeout_option = click.option(
    "--timeout",
    type=duration,
    default="30s",
    show_default=True,
    help="How long the agent may take to answer, and then a command to end.",
)


@asynccontextmanager
async def _ready_agent(
    host: str | None, domain: str, channel: str, timeout: float
) -> AsyncIterator[GuestAgent]:
    """Give the agent of a domain once it answers."""
    async with connect(host) as where:
        place = await (await where.find(domain)).place(channel)
        async with (
            open_stream(place) as (reader, writer),
            GuestAgent.open(reader, writer) as guest_agent,
        ):
            await guest_agent.wait_ready(timeout)
            yield guest_agent


@click.group()
def agent() -> None:
    """Talk to the agent in a guest (qemu-guest-agent)."""


@agent.command(
    epilog="\b\nExamples:\n  xenwire agent ping web\n  xenwire agent ping web --timeout 2m -o json"
)
@domain_argument
@host_option
@channel_option
@timeout_option
@output_option
def ping(domain: str, host: str | None, channel: str, timeout: float) -> None:
    """Wait until the agent of DOMAIN answers, and tell how long one answer takes."""

    async def main() -> float:
        async with _ready_agent(host, domain, channel, timeout) as guest_agent:
            start = time.monotonic()
            await guest_agent.ping(timeout)
            return time.monotonic() - start

    seconds = run(main())
    emit([{"domain": domain, "channel": channel, "seconds": round(seconds, 6)}], _PING_COLUMNS, one=True)


@agent.command(epilog="\b\nExamples:\n  xenwire agent info web\n  xenwire agent info web -o json")
@domain_argument
@host_option
@channel_option
@timeout_option
@output_option
def info(domain: str, host: str | None, channel: str, timeout: float) -> None:
    """Show what the agent of DOMAIN tells: operating system, kernel, host name, clock, its own version."""

    async def main() -> GuestInfo:
        async with _ready_agent(host, domain, channel, timeout) as guest_agent:
            return await guest_agent.info(timeout)

    emit([record(run(main()))], _INFO_COLUMNS, wide=("commands",), one=True)


def record(found: GuestInfo) -> dict[str, Any]:
    """Give what is printed of an agent's answer."""
    fields = dataclasses.asdict(found)
    nanoseconds = fields.pop("time_ns")
    fields["time"] = None if nanoseconds is None else _utc(nanoseconds)
    return fields


def _utc(nanoseconds: int) -> str:
    """Write a time as ISO 8601. A guest's clock may be anywhere; 64 bits reach from 1677 to 2262."""
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    return (epoch + datetime.timedelta(microseconds=nanoseconds // 1000)).isoformat(timespec="milliseconds")


@agent.command(
    "exec",
    epilog="\b\nExamples:\n  xenwire agent exec web -- uname -a\n"
    "  xenwire agent exec web --timeout 5m -- sh -c 'apt-get update >&2'",
)
@domain_argument
@click.argument("command", nargs=-1, required=True)
@host_option
@channel_option
@timeout_option
@click.option("--raw", is_flag=True, help="Do not filter dangerous escape sequences on a terminal.")
def execute(
    domain: str, command: tuple[str, ...], host: str | None, channel: str, timeout: float, raw: bool
) -> int:
    """Run COMMAND in the guest DOMAIN and pass on its output, its errors and its exit status.

    If a signal ends it, the status is 128 and the signal's number. Of output and errors 16 MiB each are
    passed on, once the command has ended.
    """

    async def main() -> ExecResult:
        async with _ready_agent(host, domain, channel, timeout) as guest_agent:
            return await guest_agent.exec(command, timeout=timeout)

    result = run(main())
    _pass_on(result.stdout, sys.stdout, raw)
    _pass_on(result.stderr, sys.stderr, raw)
    if result.stdout_truncated or result.stderr_truncated:
        note("xenwire: the agent kept 16 MiB only; the rest is lost")
    return exit_status(result)


def _pass_on(data: bytes, stream: TextIO, raw: bool) -> None:
    write_all(stream.fileno(), data if raw or not stream.isatty() else EscapeFilter().feed(data))


def exit_status(result: ExecResult) -> int:
    """Give the exit status to end with. Other systems have larger ones than Unix can pass on."""
    if result.signal is not None:
        return 128 + result.signal if 0 < result.signal < 128 else 255
    assert result.status is not None
    return result.status if 0 <= result.status <= 255 else 255
