"""The store: look at it, change it, be it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from xenwire.cli._output import emit, output_option
from xenwire.cli._params import duration
from xenwire.errors import Conflict, NotFound, UsageError
from xenwire.runtime.places import store_socket
from xenwire.xenstore import BlockingStore, BlockingTransaction, Permissions
from xenwire.xenstore.text import escape, unescape

__all__ = ["store"]

F = TypeVar("F", bound=Callable[..., Any])


def socket_option(function: F) -> F:
    """Give a command `--socket PATH`."""
    return click.option(
        "--socket",
        metavar="PATH",
        type=click.Path(path_type=Path),
        envvar="XENSTORED_PATH",
        show_envvar=True,
        help="The store's socket, or /dev/xen/xenbus.  [default: Xenwire's own store, else Xen's]",
    )(function)


@contextmanager
def connected(socket: Path | None) -> Iterator[BlockingStore]:
    """Connect to the store named, else to the one of `xenwire store serve`, else to the machine's."""
    own = store_socket()
    with BlockingStore.connect(own if socket is None and own.is_socket() else socket) as client:
        yield client


@click.group()
def store() -> None:
    """The store (Xenstore): where toolstack, device model, channels and guest meet.

    Values are shown, and given, as Xen's tools do it: printable ASCII as it is, a backslash as \\\\, other
    bytes as \\n, \\t, \\r, \\003 or \\x1f.
    """


@store.command(epilog="\b\nExamples:\n  xenwire store ls /local/domain/3\n  xenwire store ls / -o json")
@click.argument("path", default="/")
@socket_option
@output_option
def ls(path: str, socket: Path | None) -> None:
    """Show PATH and all below it.

    With values; with -o wide or json also with permissions.
    """
    records = []
    with connected(socket) as client:
        for node, value in client.read_tree(path).items():
            try:
                perms = client.get_perms(node)
            except NotFound:
                continue  # it vanished meanwhile
            records.append({"path": node, "value": escape(value), "perms": list(map(str, perms))})
    emit(records, ("path", "value"), wide=("perms",))


@store.command(
    epilog="\b\nExamples:\n  xenwire store read /local/domain/3/name\n  xenwire store read --raw vm/icon"
)
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--raw", is_flag=True, help="Print the bytes as they are, without a newline.")
@socket_option
def read(paths: tuple[str, ...], raw: bool, socket: Path | None) -> None:
    """Print the value of each PATH on a line."""
    with connected(socket) as client:
        for value in client.transact(lambda t: [t.read(path) for path in paths]):
            click.echo(value if raw else escape(value), nl=not raw)


@store.command(
    epilog="\b\nExamples:\n  xenwire store write /tool/note hello\n  xenwire store write data/a 1 data/b 2"
)
@click.argument("pairs", nargs=-1, required=True, metavar="PATH VALUE [PATH VALUE]...")
@click.option("--raw", is_flag=True, help="Take backslashes in VALUE as they are.")
@socket_option
def write(pairs: tuple[str, ...], raw: bool, socket: Path | None) -> None:
    """Set the value of each PATH, all at once.

    Nodes that are missing are made, and their ancestors.
    """
    if len(pairs) % 2:
        raise UsageError(
            f"no value for {pairs[-1]}",
            reason=f"{len(pairs)} words make no pairs",
            hint="give pairs of a path and a value",
        )

    def write_all(transaction: BlockingTransaction) -> None:
        for path, value in zip(pairs[::2], pairs[1::2], strict=True):
            transaction.write(path, value.encode(errors="surrogateescape") if raw else unescape(value))

    with connected(socket) as client:
        client.transact(write_all)


@store.command(
    "list", epilog="\b\nExamples:\n  xenwire store list /local/domain\n  xenwire store list / --socket s.sock"
)
@click.argument("path", default="/")
@socket_option
def list_names(path: str, socket: Path | None) -> None:
    """Print the names of the nodes directly below PATH."""
    with connected(socket) as client:
        for name in client.list(path):
            click.echo(name)


@store.command(
    epilog="\b\nExamples:\n  xenwire store exists /vm && echo yes\n  xenwire store exists /local/domain/3"
)
@click.argument("path")
@socket_option
@click.pass_context
def exists(context: click.Context, path: str, socket: Path | None) -> None:
    """Tell whether there is a node PATH.

    The exit status is 0 if there is, 3 if not.
    """
    with connected(socket) as client:
        if not client.exists(path):
            context.exit(NotFound.exit_status)


@store.command(epilog="\b\nExamples:\n  xenwire store rm /tool/note\n  xenwire store rm --yes /vm/old data/a")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@socket_option
def rm(paths: tuple[str, ...], yes: bool, socket: Path | None) -> None:
    """Remove each PATH and all below it."""
    with connected(socket) as client:
        if not yes and sys.stdin.isatty():
            click.confirm(f"Remove {', '.join(paths)} and all below?", abort=True, err=True)

        def rm_all(transaction: BlockingTransaction) -> None:
            for path in paths:
                transaction.rm(path)

        client.transact(rm_all)


@store.command(
    epilog="\b\nExamples:\n  xenwire store chmod /tool/note n0 r5\n  xenwire store chmod -r /tool/note n5"
)
@click.argument("path")
@click.argument("perms", nargs=-1, required=True, metavar="PERM...")
@click.option("-r", "--recursive", is_flag=True, help="All below PATH as well.")
@socket_option
def chmod(path: str, perms: tuple[str, ...], recursive: bool, socket: Path | None) -> None:
    """Replace the permissions of PATH.

    A PERM is one of the letters n (nothing), r (read), w (write), b (both) and a domain id. The first one
    names the owner, who may do everything, and says what everybody else may do.
    """
    wanted = Permissions.parse(*perms)

    def change(transaction: BlockingTransaction) -> None:
        for node in transaction.read_tree(path) if recursive else [path]:
            transaction.set_perms(node, wanted)

    with connected(socket) as client:
        client.transact(change)


@store.command(
    epilog="\b\nExamples:\n  xenwire store watch /local/domain\n  xenwire store watch -n 2 @releaseDomain"
)
@click.argument("path")
@click.option("-n", "--count", type=click.IntRange(min=1), help="Stop after so many.  [default: never]")
@click.option(
    "--timeout", type=duration, help="Give up when nothing has happened for so long.  [default: never]"
)
@socket_option
def watch(path: str, count: int | None, timeout: float | None, socket: Path | None) -> None:
    """Print what changes at or below PATH.

    A line for each change, the path of the node; the first one is PATH itself, at once.
    """
    with connected(socket) as client, client.watch(path, timeout=timeout) as events:
        for number, changed in enumerate(events, 1):
            click.echo(changed)
            if number == count:
                return


@store.command(epilog="\b\nExamples:\n  xenwire store serve\n  xenwire store serve --socket /tmp/store.sock")
@click.option("--socket", metavar="PATH", type=click.Path(path_type=Path), help="Where to listen.")
def serve(socket: Path | None) -> None:
    """Be the store until interrupted."""
    from xenwire.runtime.main import run
    from xenwire.xenstored.server import serve as serve_store

    run(serve_store(socket or store_socket()))


@store.command(epilog="\b\nExamples:\n  xenwire store stop\n  xenwire store stop --force")
@click.option("--force", is_flag=True, help="Even if there are domains: they are ended with it.")
def stop(force: bool) -> None:
    """End the store that other commands have started by themselves."""
    from xenwire.hosts.qemu import QemuHost
    from xenwire.runtime.main import run

    async def main() -> None:
        if not force and store_socket().is_socket():
            async with QemuHost.connect() as host:
                names = [domain.name for domain in await host.domains()]
            if names:
                raise Conflict(
                    "the store is in use",
                    reason=f"it knows the domains {', '.join(names)}",
                    hint="destroy them first, or use --force",
                )
        await QemuHost.stop_store()

    run(main())
