"""Two configurations side by side: what differs, by the paths that JSON has for it. Pure.

Devices are matched by what identifies them, whatever their places in the lists: `disks[vdev=xvda].format`.
"""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from xenwire.config.libxl.cpuid import CpuidPolicyList
from xenwire.config.libxl.json_writer import to_data
from xenwire.config.libxl.kinds import ArrayOf, StructOf, UnionOf
from xenwire.config.libxl.struct import Struct
from xenwire.config.libxl.types import DevicePci, DomainConfig
from xenwire.config.libxl.version import NEWEST

__all__ = ["Difference", "compare"]


@dataclass(frozen=True, slots=True)
class Difference:
    """A place where two configurations differ.

    The values are those of JSON. None stands for the default, or for a device that only the other one has.
    Where devices have changed places, the values are lists of what identifies them.
    """

    path: str
    before: Any
    after: Any

    def __str__(self) -> str:
        old, new = (json.dumps(value, ensure_ascii=False) for value in (self.before, self.after))
        if self.before is None:
            return f"+ {self.path}: {new}"
        return f"- {self.path}: {old}" if self.after is None else f"~ {self.path}: {old} → {new}"


def compare(before: DomainConfig, after: DomainConfig) -> list[Difference]:
    """Give the differences, in the order of JSON; none if the configurations are equal."""
    return list(_structs("", before, after))


def _structs(path: str, before: Struct, after: Struct) -> Iterator[Difference]:
    if before == after:
        return
    old, new = to_data(before, NEWEST), to_data(after, NEWEST)
    for name, field in before.FIELDS.items():
        one, other = getattr(before, name), getattr(after, name)
        place = f"{path}.{name}" if path else name
        match field.kind:
            case ArrayOf(item=StructOf()):
                yield from _arrays(place, one, other)
            case StructOf() if not isinstance(field.kind, CpuidPolicyList):
                yield from _structs(place, one, other)
            case UnionOf() if one is not None and type(one) is type(other):
                yield from _structs(f"{place}.{one.KEY.json}", one, other)
            case UnionOf():
                for key in (key for key in {**old, **new} if key.startswith(f"{name}.")):
                    yield Difference(f"{path}.{key}", old.get(key), new.get(key))
            case _ if one != other:
                yield Difference(place, old.get(name), new.get(name))


def _arrays(path: str, before: Sequence[Struct], after: Sequence[Struct]) -> Iterator[Difference]:
    matches = _matches(before, after)
    for index, item in enumerate(before):
        if index in matches:
            label, other = matches[index]
            yield from _structs(f"{path}[{label}]", item, after[other])
        else:
            yield Difference(f"{path}[{_labels(item, index)[0]}]", to_data(item, NEWEST), None)
    matched = [other for _, other in matches.values()]
    for index in sorted(set(range(len(after))) - set(matched)):
        item = after[index]
        yield Difference(f"{path}[{_labels(item, index)[0]}]", None, to_data(item, NEWEST))
    if matched != sorted(matched):
        orders = ([_labels(item, index)[0] for index, item in enumerate(items)] for items in (before, after))
        yield Difference(path, *orders)


_IDENTITIES: Final = ("vdev", "mac", "name", "unique_id", "tag", "path")
"""The fields that identify an item of a list."""


def _labels(item: Struct, index: int) -> list[str]:
    """Give what identifies an item, the best first. Without more than a number, its place does as well."""
    if isinstance(item, DevicePci) and item.name is None:
        return [f"bdf={item.domain:04x}:{item.bus:02x}:{item.dev:02x}.{item.func}"]
    given = dict(item.given())
    labels = [f"{name}={given[name]}" for name in _IDENTITIES if name in given]
    number = [f"devid={given['devid']}"] if "devid" in given else []
    return labels + number if labels else [*number, str(index)]


def _matches(before: Sequence[Struct], after: Sequence[Struct]) -> Mapping[int, tuple[str, int]]:
    """Give for the items that both have the index before, the label by which they match, the index after."""
    old = {index: _labels(item, index) for index, item in enumerate(before)}
    new = {index: _labels(item, index) for index, item in enumerate(after)}
    matches: dict[int, tuple[str, int]] = {}
    for rank in range(len(_IDENTITIES) + 1):
        waiting: defaultdict[str, deque[int]] = defaultdict(deque)
        for index, labels in new.items():
            for label in labels:
                waiting[label].append(index)
        for index, labels in list(old.items()):
            queue = waiting[labels[rank]] if rank < len(labels) else None
            while queue and index in old:
                other = queue.popleft()
                if other in new:
                    matches[index] = labels[rank], other
                    del old[index], new[other]
    return dict(sorted(matches.items()))
