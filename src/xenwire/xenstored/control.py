"""CONTROL: commands for the daemon itself, as xenstore-control(1) sends them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from xenwire.xenstored import requests
from xenwire.xenstored.effects import Log
from xenwire.xenstored.operation import OK, Request
from xenwire.xenstored.refusal import Refused
from xenwire.xenstored.store import Store

__all__ = ["control"]


def control(store: Store, request: Request) -> bytes:
    """CONTROL: run one command. An unknown one, or a wrong number of arguments, is EINVAL."""
    name, *arguments = requests.strings(request.payload, 1)
    command = _COMMANDS.get(name)
    if command is None or len(arguments) != command.arguments:
        raise Refused("EINVAL")
    return command.run(store, request, arguments)


def _check(store: Store, request: Request, _: list[bytes]) -> bytes:
    counted = store.tree.census()
    wrong = {domid for domid in counted if store.tree.owned(domid) != counted[domid]}
    if wrong:
        request.before.append(Log(f"check: the counts of nodes are wrong for domains {sorted(wrong)}"))
        raise Refused("EIO")
    return OK


def _help(store: Store, request: Request, _: list[bytes]) -> bytes:
    lines = (f"{name.decode():<15} {command.usage}\n" for name, command in _COMMANDS.items())
    return "".join(lines).encode() + b"\0"


def _print(store: Store, request: Request, arguments: list[bytes]) -> bytes:
    request.before.append(Log("print: " + arguments[0].decode("latin-1").encode("unicode_escape").decode()))
    return OK


class _Command(NamedTuple):
    run: Callable[[Store, Request, list[bytes]], bytes]
    usage: str
    arguments: int = 0


_COMMANDS: Final[Mapping[bytes, _Command]] = MappingProxyType(
    {
        b"check": _Command(_check, ""),
        b"help": _Command(_help, ""),
        b"print": _Command(_print, "<string>", 1),
    }
)
