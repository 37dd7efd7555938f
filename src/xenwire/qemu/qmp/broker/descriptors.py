"""The descriptors that QEMU holds for clients: each sees its own. No I/O.

QEMU knows one connection, and so one set of names (`getfd`) and of fd sets (`add-fd`). Names are prefixed for
each client; fd sets keep the numbers that QEMU gives them, and those of other clients are hidden. This keeps
well-meaning clients apart: whoever may send any command has many ways around it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from xenwire.qemu.qmp.broker.session import Refused

__all__ = ["TAKERS", "Descriptors", "Registry"]

TAKERS: Final = frozenset({"getfd", "add-fd"})
"""The commands that take a descriptor."""

_NAMED: Final[Mapping[str, frozenset[str]]] = {
    "getfd": frozenset({"fdname"}),
    "closefd": frozenset({"fdname"}),
    "add_client": frozenset({"fdname"}),
    "netdev_add": frozenset({"fd", "vhostfd", "fds", "vhostfds", "sock-fds"}),
    "device_add": frozenset({"fd", "vhostfd"}),
    "object-add": frozenset({"fd"}),
}
"""Commands and those of their arguments that name descriptors (qemu: qapi/, hw/)."""
_LISTS: Final = frozenset({"fds", "vhostfds", "sock-fds"})
"""Those of them that may hold several names, with colons between."""
_URIS: Final[Mapping[str, str]] = {
    "migrate": "uri",
    "migrate-incoming": "uri",
    "dump-guest-memory": "protocol",
}
"""Commands and the argument that may be `fd:NAME`."""
_FDSET: Final = re.compile(r"/dev/fdset/\s*\+?(\d{1,18})")


class Registry:
    """Which client has which fd set. `everybodys`: the numbers of those that QEMU came with (`-add-fd`)."""

    def __init__(self, everybodys: Iterable[int] = ()) -> None:
        self.everybodys = frozenset(everybodys)
        self.owners: dict[int, Descriptors] = {}
        """The clients by the numbers of their fd sets."""


class Descriptors:
    """What one client has left with QEMU. `label` is its own among all clients, and begins with a letter."""

    def __init__(self, label: str, registry: Registry) -> None:
        self._prefix = f"{label}-"
        self._registry = registry
        self._names: set[str] = set()
        self._sets: dict[int, set[int]] = {}

    def translate(self, command: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Give the arguments as QEMU's one connection has to be told them.

        Raises Refused if they name what is another client's.
        """
        translated = {name: self._value(value) for name, value in arguments.items()}
        for name in _NAMED.get(command, frozenset()) & translated.keys():
            if isinstance(text := translated[name], str):
                names = text.split(":") if name in _LISTS else [text]
                translated[name] = ":".join(map(self._name, names))
        uri = translated.get(_URIS.get(command, ""))
        if isinstance(uri, str) and uri.startswith("fd:"):
            translated[_URIS[command]] = f"fd:{self._name(uri[3:])}"
        if command in ("add-fd", "remove-fd") and self._is_anothers(number := arguments.get("fdset-id")):
            if command == "add-fd":
                raise Refused(f"The fd set {number} is another client's")
            fd = f", fd:{arguments['fd']}" if "fd" in arguments else ""
            raise Refused(f"File descriptor named 'fdset-id:{number}{fd}' not found")
        return translated

    def note(self, command: str, arguments: Mapping[str, Any], result: Any) -> Any:
        """Take note of a command that succeeded, as it was told QEMU, and give what the client is to see."""
        match command:
            case "getfd":
                self._names.add(arguments["fdname"])
            case "closefd":
                self._names.discard(arguments["fdname"])
            case "add-fd":
                self._added(result["fdset-id"], result["fd"])
            case "remove-fd":
                self._removed(arguments["fdset-id"], arguments.get("fd"))
            case "query-fdsets":
                return [each for each in result if not self._is_anothers(each["fdset-id"])]
        return result

    def own_words(self, text: str) -> str:
        """Give a text of QEMU's with the client's own names in it."""
        return text.replace(self._prefix, "")

    def leftovers(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Give the commands that close what is left; then nothing is."""
        for name in sorted(self._names):
            yield "closefd", {"fdname": name}
        for number, fds in sorted(self._sets.items()):
            for fd in sorted(fds):
                yield "remove-fd", {"fdset-id": number, "fd": fd}
            self._registry.owners.pop(number, None)
        self._names.clear()
        self._sets.clear()

    def _name(self, name: str) -> str:
        # One that begins with a digit is none: QEMU takes it for a descriptor's number, or refuses it.
        return name if name[:1].isdigit() else self._prefix + name

    def _value(self, value: Any) -> Any:
        """Translate the socket addresses in a value, and refuse others' fd sets."""
        if isinstance(value, str):
            for found in _FDSET.finditer(value):
                if self._is_anothers(int(found[1])):
                    raise Refused(f"Could not open '{value[:200]}': the fd set is another client's")
            return value
        if isinstance(value, list):
            translated_list = []
            for each in value:
                translated_list.append(self._value(each))  # noqa: PERF401  half the stack of a comprehension
            return translated_list
        if not isinstance(value, dict):
            return value
        translated = {}
        for name, each in value.items():
            translated[name] = self._value(each)
        if "fd" in (translated.get("type"), translated.get("transport")):
            data = translated.get("data")
            target = data if isinstance(data, dict) else translated
            if isinstance(target.get("str"), str):
                target["str"] = self._name(target["str"])
        return translated

    def _is_anothers(self, number: Any) -> bool:
        owner = self._registry.owners.get(number) if isinstance(number, int) else None
        return owner is not None and owner is not self

    def _added(self, number: int, fd: int) -> None:
        before = self._registry.owners.get(number)
        if before is not None and before is not self:
            del before._sets[number]  # QEMU has closed that set, and gives its number again
        self._sets.setdefault(number, set()).add(fd)
        if number not in self._registry.everybodys:
            self._registry.owners[number] = self

    def _removed(self, number: int, fd: int | None) -> None:
        left = self._sets.pop(number, set()) - {fd} if fd is not None else set()
        if left:
            self._sets[number] = left
        else:
            self._sets.pop(number, None)
            self._registry.owners.pop(number, None)
