"""The store's content at one moment, as a value: changing it gives another tree that shares all else.

Beside `/` the tree holds the special nodes `@introduceDomain` and `@releaseDomain`, which have no content,
only permissions. A path here is absolute and canonical (see `requests.canonical`), or a special node's name.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from xenwire.xenstore.perms import Access, Permission, Permissions
from xenwire.xenstored.access import ANY_DOMAIN

__all__ = ["SPECIALS", "Node", "Tree", "parent_of"]

SPECIALS: Final = ("@introduceDomain", "@releaseDomain")

_HEADER_BYTES: Final = 16
_ENTRY_BYTES: Final = 8


class Node(NamedTuple):
    """A node. Its generation changes with its value, its permissions and its list of children."""

    value: bytes
    permissions: Permissions
    children: Mapping[str, Node]
    """By name, in the order of creation."""
    generation: int

    @property
    def size(self) -> int:
        """Bytes as C xenstored counts them: a header, the permissions, the value, the children's names."""
        names = sum(map(len, self.children)) + len(self.children)
        return _HEADER_BYTES + _ENTRY_BYTES * len(self.permissions) + len(self.value) + names


def parent_of(path: str) -> str:
    """Give the path of the parent; a special node's is `/`, as in C xenstored."""
    return path.rpartition("/")[0] or "/"


def _names(path: str) -> list[str]:
    """Give the names on the way from the top, where `/` is the child named ``""``."""
    return [""] if path == "/" else path.split("/")


class Tree:
    """An immutable tree. Keeping one costs nothing: that is how a transaction starts."""

    __slots__ = ("_generations", "_owned", "_top")

    def __init__(self, top: Node, owned: Mapping[int, int], generations: Iterator[int]) -> None:
        self._top = top
        self._owned = owned
        self._generations = generations

    @classmethod
    def initial(cls) -> Tree:
        """Give the tree of a new store: `/`, `/tool`, `/tool/xenstored` and the special nodes.

        All belong to domain 0; everybody may hear of released domains.
        """
        private = Permissions.parse("n0")
        top = Node(b"", private, {}, 0)
        tree: Tree = cls(top, {}, itertools.count(1))
        for path in ("/", "/tool", "/tool/xenstored", "@introduceDomain"):
            tree = tree.put(path, b"", private)
        return tree.put("@releaseDomain", b"", Permissions([*private, Permission(ANY_DOMAIN, Access.READ)]))

    def locate(self, path: str) -> tuple[Node, list[str]]:
        """Give the node at `path` and no names, or the nearest one above and the paths missing below it.

        Nearest to a missing special node is `/`.
        """
        node = self._top
        names = _names(path)
        for level, name in enumerate(names):
            child = node.children.get(name)
            if child is None:
                missing = ["/".join(names[: end + 1]) for end in range(level, len(names))]
                return (node if level else node.children[""]), missing
            node = child
        return node, []

    def find(self, path: str) -> Node | None:
        """Give the node at `path`, or None."""
        node = self._top
        for name in _names(path):
            child = node.children.get(name)
            if child is None:
                return None
            node = child
        return node

    def generation(self, path: str) -> int | None:
        """Give the generation of the node at `path`; None if there is no node."""
        node = self.find(path)
        return None if node is None else node.generation

    def owned(self, domid: int) -> int:
        """Give how many nodes a domain owns."""
        return self._owned.get(domid, 0)

    def census(self) -> Mapping[int, int]:
        """Count the nodes of each owner anew; `owned` must agree."""
        return _census(self._top.children.values())

    def subtree(self, path: str) -> list[tuple[str, Node]]:
        """List `path` and all nodes below it: parents first, siblings in order of creation."""
        return self._walk(path, elder_first=True)

    def subtree_inner_first(self, path: str) -> list[tuple[str, Node]]:
        """List `path` and all nodes below it: children first, siblings in order of creation."""
        return self._walk(path, elder_first=False)[::-1]

    def _walk(self, path: str, *, elder_first: bool) -> list[tuple[str, Node]]:
        """List a subtree, parents first. Without recursion: a tree may be deeper than Python's stack."""
        root = self.find(path)
        found: list[tuple[str, Node]] = []
        waiting = [] if root is None else [(path, root)]
        while waiting:
            here, node = waiting.pop()
            found.append((here, node))
            prefix = here if here != "/" else ""
            children = list(node.children.items())
            waiting += [
                (f"{prefix}/{name}", child)
                for name, child in (reversed(children) if elder_first else children)
            ]
        return found

    def put(self, path: str, value: bytes, permissions: Permissions) -> Tree:
        """Give a tree with a node set. Its children stay; what is missing above it gets no value.

        What is new gets the same permissions and comes last among its siblings.
        """
        names = _names(path)
        lineage = self._lineage(names)
        generation = next(self._generations)
        if len(lineage) > len(names):
            old = lineage.pop()
            node = Node(value, permissions, old.children, generation)
            change = {old.permissions.owner: -1, permissions.owner: 1}
            owned = self._owned if len(change) == 1 else _sum(self._owned, change)
        else:
            node = Node(value, permissions, {}, generation)
            for name in reversed(names[len(lineage) :]):
                node = Node(b"", permissions, {name: node}, generation)
            lineage[-1] = lineage[-1]._replace(generation=generation)
            owned = _sum(self._owned, {permissions.owner: len(names) - len(lineage) + 1})
        return self._rebuilt(lineage, names, node, owned)

    def graft(self, path: str, node: Node) -> Tree:
        """Give a tree with a node of another tree and all below it. It is not here yet, its parent is."""
        names = _names(path)
        lineage = self._lineage(names)
        lineage[-1] = lineage[-1]._replace(generation=next(self._generations))
        return self._rebuilt(lineage, names, node, _sum(self._owned, _census([node])))

    def remove(self, path: str) -> Tree:
        """Give a tree without the node at `path` and all below it; the same tree if it is not there."""
        names = _names(path)
        lineage = self._lineage(names)
        if len(lineage) <= len(names):
            return self
        removed = lineage.pop()
        parent = lineage.pop()
        children = dict(parent.children)
        del children[names[-1]]
        node = Node(parent.value, parent.permissions, children, next(self._generations))
        lost = {owner: -count for owner, count in _census([removed]).items()}
        return self._rebuilt(lineage, names, node, _sum(self._owned, lost))

    def _lineage(self, names: list[str]) -> list[Node]:
        """Give the nodes from the top down to the one named, or to the last that is there."""
        lineage = [self._top]
        for name in names:
            child = lineage[-1].children.get(name)
            if child is None:
                break
            lineage.append(child)
        return lineage

    def _rebuilt(self, lineage: list[Node], names: list[str], node: Node, owned: Mapping[int, int]) -> Tree:
        """Give a tree in which the last of `lineage` has `node` for a child, under its name in `names`."""
        for level in reversed(range(len(lineage))):
            above = lineage[level]
            children = {**above.children, names[level]: node}
            node = Node(above.value, above.permissions, children, above.generation)
        return Tree(node, owned, self._generations)


def _census(nodes: Iterable[Node]) -> Mapping[int, int]:
    """Count the owners of nodes and of all nodes below them."""
    counts: Counter[int] = Counter()
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        counts[node.permissions.owner] += 1
        waiting += node.children.values()
    return counts


def _sum(counts: Mapping[int, int], change: Mapping[int, int]) -> Mapping[int, int]:
    """Add counts; what comes to 0 is left out."""
    total = {**counts, **{key: counts.get(key, 0) + value for key, value in change.items()}}
    return {key: value for key, value in total.items() if value}
