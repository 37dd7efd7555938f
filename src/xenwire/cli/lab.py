"""The lab: a real Xen host inside QEMU."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from xenwire.cli._output import Phases, emit, note, output_option
from xenwire.cli._params import duration
from xenwire.cli._terminal import join_terminal, raw_terminal, typed, write_out
from xenwire.errors import NotFound, TimedOut, UsageError, XenwireError
from xenwire.images import Release, build_dom0
from xenwire.lab import Lab, LabSession, Profile, Tty, Xenstored
from xenwire.lab.package import install
from xenwire.runtime.main import run
from xenwire.runtime.process import ExitStatus

__all__ = ["lab"]

F = TypeVar("F", bound=Callable[..., Any])

_COLUMNS: Final = ("name", "state", "release", "memory", "vcpus", "pid", "started")


def name_option(function: F) -> F:
    """Give a command `--name NAME`."""
    return click.option(
        "--name",
        metavar="NAME",
        default="default",
        show_default=True,
        help="Which lab; several run side by side.",
    )(function)


def profile_options(function: F) -> F:
    """Give a command the choices of a lab's profile, as keyword arguments; None where nothing was said."""
    defaults = Profile()
    for option in reversed(
        (
            click.option(
                "--release",
                type=click.Choice([str(r) for r in Release]),
                help=f"Debian's release: Xen 4.17 or 4.20.  [default: {defaults.release}]",
            ),
            click.option(
                "--memory",
                type=int,
                metavar="MIB",
                help=f"Of the whole machine.  [default: {defaults.memory}]",
            ),
            click.option("--vcpus", type=int, help=f"Its processors.  [default: {defaults.vcpus}]"),
            click.option(
                "--xenstored",
                type=click.Choice([str(x) for x in Xenstored]),
                help=f"The store's daemon in dom0.  [default: {defaults.xenstored}]",
            ),
            click.option("--xen-options", metavar="TEXT", help="Added to Xen's command line."),
            click.option(
                "--iommu",
                is_flag=True,
                default=None,
                help="With an IOMMU and a spare network card to pass through; boots each time.",
            ),
        )
    ):
        function = option(function)
    return function


def _profile(name: str, choices: dict[str, Any]) -> Profile | None:
    """Give the profile that was asked for: a running lab's, or the default, with these choices.

    None if there are none.
    """
    given = {key: value for key, value in choices.items() if value is not None}
    found = Lab.find(name)
    has = dataclasses.asdict(found.profile) if found and found.profile and found.process.alive else {}
    return Profile.parse(has | given) if given else None


@click.group()
def lab() -> None:
    """A real Xen host inside QEMU: Xen, dom0, xl and guests, on any Linux machine, in seconds.

    A lab is started by the first command that needs it, and runs until it is stopped. What was written in it
    is gone then.
    """


@lab.command(epilog="\b\nExamples:\n  xenwire lab build\n  xenwire lab build --release trixie --force")
@click.option(
    "--release",
    type=click.Choice([str(r) for r in Release]),
    default=str(Release.BOOKWORM),
    show_default=True,
)
@click.option("--force", is_flag=True, help="Fetch its packages again, in their current versions.")
@output_option
def build(release: str, force: bool) -> None:
    """Build the image of dom0 from Debian's packages, unless that has been done; show where it is."""
    image = run(build_dom0(Release(release), Phases(), force=force))
    fields = ("hypervisor", "kernel", "initrd", "root")
    record = {
        "release": str(image.release),
        **{field: str(getattr(image, field)) for field in fields},
        "key": image.key,
        "packages": list(image.packages),
    }
    emit([record], ("release", *fields), wide=("key", "packages"), one=True)


@lab.command(
    "run",
    context_settings={"allow_interspersed_args": False},
    epilog="\b\nExamples:\n  xenwire lab run -- xl list\n"
    "  xenwire lab run --put guest.cfg:/root/ -- xl create /root/guest.cfg\n"
    "  xenwire lab run --install -- xenwire list\n"
    "  xenwire lab run --rm --xenstored ocaml -- xenstore-ls -f",
)
@click.argument("command", nargs=-1, required=True)
@name_option
@profile_options
@click.option("--install", "with_xenwire", is_flag=True, help="Put this very Xenwire into dom0, before.")
@click.option(
    "--put", "puts", multiple=True, metavar="LOCAL:REMOTE", help="Copy a file or folder in, before."
)
@click.option(
    "--get", "gets", multiple=True, metavar="REMOTE:LOCAL", help="Copy a file or folder out, after."
)
@click.option("--timeout", type=duration, help="How long the command may take.  [default: for ever]")
@click.option("--rm", "throw_away", is_flag=True, help="Stop the lab afterwards.")
def run_(
    command: tuple[str, ...],
    name: str,
    with_xenwire: bool,
    puts: tuple[str, ...],
    gets: tuple[str, ...],
    timeout: float | None,
    throw_away: bool,
    **choices: Any,
) -> int:
    """Run COMMAND in dom0, as root. Output streams, input is passed on, its exit status is this command's.

    If a signal ends it, the status is 128 and the signal's number. Ctrl-C ends the command, and the lab too
    if this command has started it.
    """
    to_put, to_get = [_pair(pair) for pair in puts], [_pair(pair) for pair in gets]

    async def main() -> ExitStatus:
        async with _started(name, _profile(name, choices), throw_away) as found:
            async with found.session() as session:
                if with_xenwire:
                    await install(session)
                for local, remote in to_put:
                    _left_out(await session.put(Path(local), remote))
                try:
                    status = await session.run(
                        command,
                        stdin=None if sys.stdin.isatty() else typed(sys.stdin.fileno()),
                        on_stdout=lambda data: write_out(sys.stdout, data),
                        on_stderr=lambda data: write_out(sys.stderr, data),
                        timeout=timeout,
                    )
                except TimedOut as error:
                    failure: XenwireError | None = error
                else:
                    failure = None
            # Logs are wanted most after a failure; a timeout has closed the session.
            try:
                await _fetch(found, to_get)
            except XenwireError as error:
                if failure is None and status == 0:
                    raise
                note(f"xenwire: {error}")
            if failure is not None:
                raise failure
            return status

    return _exit_status(run(main()))


@lab.command(epilog="\b\nExamples:\n  xenwire lab shell\n  xenwire lab shell --console")
@name_option
@profile_options
@click.option("--console", is_flag=True, help="Join the serial console of Xen and dom0 instead; ^] leaves.")
def shell(name: str, console: bool, **choices: Any) -> int:
    """Work in dom0 interactively."""

    async def main() -> ExitStatus:
        async with _started(name, _profile(name, choices), throw_away=False) as found:
            if console:
                await join_terminal(found.console, raw=True)
                return ExitStatus(0)
            async with found.session() as session:
                return await _interactive(session)

    if not sys.stdin.isatty():
        raise UsageError(
            "cannot give you a shell", reason="your input is no terminal", hint="xenwire lab run -- sh"
        )
    return _exit_status(run(main()))


@lab.command(epilog="\b\nExamples:\n  xenwire lab status\n  xenwire lab status --json")
@output_option
def status() -> None:
    """List the labs that have been started."""
    emit(
        (
            {
                "name": found.name,
                "state": str(found.state),
                **_shown(found.profile),
                "pid": found.process.pid,
                "started": found.started.isoformat(),
                "folder": str(found.folder),
            }
            for found in Lab.all()
        ),
        _COLUMNS,
        wide=("xenstored", "iommu", "xen_options", "folder"),
        mib=("memory",),
    )


@lab.command(epilog="\b\nExamples:\n  xenwire lab stop\n  xenwire lab stop --all")
@name_option
@click.option("--all", "everything", is_flag=True, help="All labs.")
def stop(name: str, everything: bool) -> None:
    """End a lab at once, as if its power were cut. What was written in it is gone."""

    async def main() -> None:
        found = Lab.all() if everything else [Lab.find(name)]
        for each in found:
            if each is None:
                raise NotFound(
                    f"there is no lab {name!r}",
                    reason="it has not been started",
                    hint="see: xenwire lab status",
                )
            await each.stop()

    run(main())


@contextlib.asynccontextmanager
async def _started(name: str, profile: Profile | None, throw_away: bool) -> AsyncIterator[Lab]:
    """Give a lab, started if need be.

    It is stopped again if that was asked, or if this command has started it and is interrupted while nobody
    else uses it.
    """
    found = await Lab.start(name, profile, Phases())
    try:
        yield found
    except asyncio.CancelledError:
        throw_away = throw_away or (found.starter.pid == os.getpid() and await found.idle())
        raise
    finally:
        if throw_away:
            await found.stop()


async def _fetch(found: Lab, pairs: list[tuple[str, str]]) -> None:
    if pairs:
        async with found.session() as session:
            for remote, local in pairs:
                _left_out(await session.get(remote, Path(local)))


def _shown(profile: Profile | None) -> dict[str, Any]:
    """Give a profile's fields to print, memory in bytes; of an unknown one there are none."""
    if profile is None:
        return {field.name: None for field in dataclasses.fields(Profile)}
    return dataclasses.asdict(profile) | {"memory": profile.memory << 20}


async def _interactive(session: LabSession) -> ExitStatus:
    """Run a login shell in the user's terminal, whose size it follows."""
    loop = asyncio.get_running_loop()
    rows, cols = _size()
    # Not by the loop's own handler, with whose end signals no longer wake the loop.
    before = signal.signal(
        signal.SIGWINCH, lambda *_: loop.call_soon_threadsafe(lambda: session.resize(*_size()))
    )
    try:
        with raw_terminal(sys.stdin.fileno()):
            return await session.run(
                ["bash", "-l"],
                tty=Tty(rows, cols, os.environ.get("TERM", "vt100")),
                cwd="/root",
                stdin=typed(sys.stdin.fileno()),
                on_stdout=lambda data: write_out(sys.stdout, data),
            )
    finally:
        signal.signal(signal.SIGWINCH, before)


def _size() -> tuple[int, int]:
    size = os.get_terminal_size(sys.stdin.fileno())
    return size.lines, size.columns


def _pair(text: str) -> tuple[str, str]:
    """Take apart `FROM:TO`, at the last colon."""
    head, colon, tail = text.rpartition(":")
    if not (head and colon and tail):
        raise UsageError(f"cannot copy {text!r}", reason="it is not FROM:TO", hint="such as guest.cfg:/root/")
    return head, tail


def _left_out(paths: list[str]) -> None:
    if paths:
        note(f"xenwire: not copied, being no files, folders or safe links: {', '.join(paths)}")


def _exit_status(ended: ExitStatus) -> int:
    return ended if ended >= 0 else 128 - ended
