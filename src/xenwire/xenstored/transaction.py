"""Changing the tree: at once, or in a transaction.

A transaction sees the tree as it was when it started, and its own changes. It commits if nothing that it
has touched, be it only looked at, was changed by others since: no value, permission or list of children,
and nothing that was not there has come to be (as C xenstored; the snapshot is oxenstored's).
"""

from __future__ import annotations

from typing import NamedTuple

from xenwire.xenstore.perms import Permissions
from xenwire.xenstored.quotas import exceeds
from xenwire.xenstored.refusal import Refused
from xenwire.xenstored.tree import Node, Tree, parent_of

__all__ = ["Change", "Transaction", "Workspace"]


class Change(NamedTuple):
    """That a node changed, for those who watch it and may know."""

    path: str
    tree: Tree
    """Who may read the node here, or list it among its parent's children, may know."""
    before: Permissions | None
    """Who could read the node by these may know too."""
    exact: bool
    """Only watches on this very node are meant, none above."""

    def readable_by(self) -> list[Permissions]:
        """Give the permissions of which one must let a watcher read. None: nobody may know."""
        readable = [] if self.before is None else [self.before]
        if (node := self.tree.find(self.path)) is not None:
            readable.append(node.permissions)
            if (parent := self.tree.find(parent_of(self.path))) is not None:
                readable.append(parent.permissions)
        return readable


class Workspace:
    """The tree as one request outside of a transaction finds and changes it."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.changes: list[Change] = []

    def locate(self, path: str) -> tuple[Node, list[str]]:
        """Give the node at `path` and no names, or the nearest one above and the paths missing below it."""
        return self.tree.locate(path)

    def put(self, path: str, value: bytes, permissions: Permissions) -> None:
        """Set a node, and make what is missing above it."""
        self.tree = self.tree.put(path, value, permissions)

    def remove(self, path: str) -> None:
        """Remove a node and all below it; the inner ones are told of first, each to its own watches."""
        removed = self.tree.subtree_inner_first(path)
        self.changes += [Change(inner, self.tree, None, inner != path) for inner, _ in removed]
        self.tree = self.tree.remove(path)

    def fire(self, path: str, before: Permissions | None = None) -> None:
        """Tell of a change to the node at `path`, also to those who may read it by the permissions before."""
        self.changes.append(Change(path, self.tree, before, exact=False))


class Transaction(Workspace):
    """The tree as one transaction finds and changes it."""

    def __init__(self, tree: Tree, max_nodes: int) -> None:
        super().__init__(tree)
        self.failed = False
        """Whether a request inside was refused for a quota; then it cannot commit."""
        self._base = tree
        self._max_nodes = max_nodes
        self._touched: dict[str, Permissions | None] = {}
        """What was looked at, with its permissions then; None for what was not there."""
        self._written: dict[str, bool] = {}
        """What was changed; true if it was made or removed. What is new comes after its elder siblings."""
        self._fired: dict[str, bool] = {}
        """What to tell of, and whether only to the watches on that very node."""

    def locate(self, path: str) -> tuple[Node, list[str]]:
        """Give the node at `path`, or the nearest one above. Raises Refused ENOSPC if it is one too many."""
        nearest, missing = self.tree.locate(path)
        for absent in reversed(missing):
            self._touch(absent, None)
        self._touch(parent_of(missing[0]) if missing else path, nearest)
        return nearest, missing

    def put(self, path: str, value: bytes, permissions: Permissions) -> None:
        """Set a node, and make what is missing above it."""
        _, missing = self.tree.locate(path)
        super().put(path, value, permissions)
        for new in missing:
            self._written.pop(new, None)
            self._written[new] = True
        self._written.setdefault(path, False)

    def remove(self, path: str) -> None:
        """Remove a node and all below it. Raises Refused ENOSPC if these are too many."""
        self.locate(parent_of(path))
        removed = self.tree.subtree(path)
        for inner, node in removed:
            self._touch(inner, node)
        for inner, _ in removed:
            self._fired.setdefault(inner, inner != path)
        self._fired[path] = False
        self._written[path] = True
        self.tree = self.tree.remove(path)

    def fire(self, path: str, before: Permissions | None = None) -> None:
        """Note a change. Whoever may read the node, as it was at first touch or at the end, may know."""
        self._fired[path] = False

    def commit(self, current: Tree) -> Tree:
        """Give `current` with the changes made to it; `changes` then tells them in order of first touch.

        Raises Refused ENOMEM after a request inside hit a quota, EAGAIN if others got in the way.
        """
        if self.failed:
            raise Refused("ENOMEM")
        if current is not self._base:
            if any(self._base.generation(path) != current.generation(path) for path in self._touched):
                raise Refused("EAGAIN")
            self.tree = self._replayed(current)
        self.changes += [
            Change(path, self.tree, before, self._fired[path])
            for path, before in self._touched.items()
            if path in self._fired
        ]
        return self.tree

    def _touch(self, path: str, node: Node | None) -> None:
        if path not in self._touched:
            if exceeds(self._max_nodes, len(self._touched) + 1):
                raise Refused("ENOSPC")
            self._touched[path] = None if node is None else node.permissions

    def _replayed(self, tree: Tree) -> Tree:
        """Give `tree`, in which nothing that was touched differs, with all that was changed."""
        grafted: set[str] = set()
        for path, anew in self._written.items():
            if parent_of(path) in grafted:  # it came along with its parent
                grafted.add(path)
                continue
            if anew:
                tree = tree.remove(path)
            node = self.tree.find(path)
            if node is None:
                continue
            if anew:
                tree = tree.graft(path, node)
                grafted.add(path)
            else:
                tree = tree.put(path, node.value, node.permissions)
        return tree
