"""A store that is too simple to be wrong: dicts by path, copies for transactions, loops over all watches.

It speaks of paths, permission strings and error names, not of frames, and follows the facts as written:
xen docs/misc/xenstore.txt, C xenstored's rules for rights, events and conflicts, oxenstored's snapshots.
"""

import itertools
from dataclasses import dataclass, field

ANY = 32757


class Refused(Exception):
    pass


@dataclass
class Caller:
    domid: int
    privileged: bool
    target: int | None = None
    watches: list = field(default_factory=list)
    transactions: dict = field(default_factory=dict)
    last_id: int = 0
    heard: list = field(default_factory=list)

    def rights(self, perms):
        """The letters of what it may: r, w, o."""
        mine = (self.domid, self.target, ANY)
        if self.privileged or perms[0][1] in mine:
            return "rwo"
        letter = next((letter for letter, domid in perms[1:] if domid in mine), perms[0][0])
        return {"n": "", "r": "r", "w": "w", "b": "rw"}[letter]


@dataclass(frozen=True)
class Entry:
    value: bytes
    perms: tuple
    version: int


def parent(path):
    return path.rpartition("/")[0] or "/"


def is_below(path, top):
    return path != top and path.startswith(top.rstrip("/") + "/")


class Transaction:
    def __init__(self, nodes):
        self.base = dict(nodes)
        self.nodes = dict(nodes)
        self.touched = {}
        self.fired = {}
        self.log = []
        self.failed = False


class Model:
    """Replies are given as bytes, refusals raised. Events are added to what each caller has heard."""

    def __init__(self, max_nodes, max_touched):
        self.max_nodes = max_nodes
        self.max_touched = max_touched
        self.versions = itertools.count(1)
        self.callers = []
        private = (("n", 0),)
        self.nodes = {
            path: Entry(b"", private, 0) for path in ("/", "/tool", "/tool/xenstored", "@introduceDomain")
        }
        self.nodes["@releaseDomain"] = Entry(b"", (*private, ("r", ANY)), 0)

    def ask(self, caller, number, method, *args):
        """Do something in a transaction of the caller's, or in none; give the reply or the error's name."""
        tx = caller.transactions.get(number)
        try:
            return method(caller, tx, *args)
        except Refused as refused:
            if tx and str(refused) == "ENOSPC":
                tx.failed = True
            return str(refused)

    # looking

    def look(self, caller, tx, path):
        """The node at a path, or None; a transaction remembers what it looked at."""
        nodes = tx.nodes if tx else self.nodes
        node = nodes.get(path)
        if tx and path not in tx.touched:
            if not caller.privileged and len(tx.touched) >= self.max_touched:
                raise Refused("ENOSPC")
            tx.touched[path] = node and node.perms
        return node

    def demand(self, caller, tx, path, right):
        """The node, or None if it is missing and the caller may know that."""
        here = path
        while (node := self.look(caller, tx, here)) is None:
            here = parent(here)
        if right not in caller.rights(node.perms):
            raise Refused("EACCES")
        return node if here == path else None

    def existing(self, caller, tx, path, right):
        node = self.demand(caller, tx, path, right)
        if node is None:
            raise Refused("ENOENT")
        return node

    def read(self, caller, tx, path):
        return self.existing(caller, tx, path, "r").value

    def get_perms(self, caller, tx, path):
        perms = self.existing(caller, tx, path, "r").perms
        return b"".join(f"{letter}{domid}\0".encode() for letter, domid in perms)

    def directory(self, caller, tx, path):
        self.existing(caller, tx, path, "r")
        nodes = tx.nodes if tx else self.nodes
        names = [other.rpartition("/")[2] for other in nodes if parent(other) == path and other[0] == "/"]
        return b"".join(name.encode() + b"\0" for name in names if name)

    # changing

    def owned(self, nodes, domid):
        return sum(node.perms[0][1] == domid for node in nodes.values())

    def set(self, tx, path, value, perms):
        nodes = tx.nodes if tx else self.nodes
        if path not in nodes:
            self.touch_children(nodes, parent(path))
        nodes[path] = Entry(value, perms, next(self.versions))
        if tx:
            tx.log.append((self.set, path, value, perms))

    def drop(self, tx, path):
        nodes = tx.nodes if tx else self.nodes
        for gone in self.depth_first(nodes, path):
            del nodes[gone]
        self.touch_children(nodes, parent(path))
        if tx:
            tx.log.append((self.drop, path))

    def touch_children(self, nodes, path):
        nodes[path] = Entry(nodes[path].value, nodes[path].perms, next(self.versions))

    def create(self, caller, tx, path, value):
        nodes = tx.nodes if tx else self.nodes
        missing = []
        while path not in nodes:
            missing.append(path)
            path = parent(path)
        perms = nodes[path].perms
        if not caller.privileged:
            perms = ((perms[0][0], caller.domid), *perms[1:])
            if self.owned(nodes, caller.domid) + len(missing) > self.max_nodes:
                raise Refused("ENOSPC")
        for level in reversed(missing):
            self.set(tx, level, value if level == missing[0] else b"", perms)
        self.changed(tx, missing[0])

    def write(self, caller, tx, path, value):
        node = self.demand(caller, tx, path, "w")
        if node is None:
            self.create(caller, tx, path, value)
        else:
            self.set(tx, path, value, node.perms)
            self.changed(tx, path)
        return b"OK\0"

    def mkdir(self, caller, tx, path):
        if self.demand(caller, tx, path, "w") is None:
            self.create(caller, tx, path, b"")
        return b"OK\0"

    def rm(self, caller, tx, path):
        nodes = tx.nodes if tx else self.nodes
        if self.demand(caller, tx, path, "w") is None:
            if parent(path) not in nodes:
                raise Refused("ENOENT")
            return b"OK\0"
        if path == "/":
            raise Refused("EINVAL")
        if tx:
            for other in (parent(path), *self.depth_first(nodes, path)):
                self.look(caller, tx, other)
        self.removed(tx, nodes, path)
        self.drop(tx, path)
        return b"OK\0"

    def depth_first(self, nodes, path, inner_first=False):
        children = [other for other in nodes if other != "/" and other[0] == "/" and parent(other) == path]
        below = [found for child in children for found in self.depth_first(nodes, child, inner_first)]
        return [*below, path] if inner_first else [path, *below]

    def set_perms(self, caller, tx, path, perms):
        node = self.existing(caller, tx, path, "o")
        if not caller.privileged and perms[0][1] != node.perms[0][1]:
            raise Refused("EPERM")
        self.set(tx, path, node.value, perms)
        self.changed(tx, path, node.perms)
        return b"OK\0"

    def release(self, domid):
        """A domain goes: its watches and transactions, its nodes, its entries, and then the word of it."""
        for caller in self.callers:
            if caller.domid == domid:
                caller.watches.clear()
                caller.transactions.clear()
            if caller.target == domid:
                caller.target = None
        for path in self.depth_first(self.nodes, "/"):
            if path != "/" and path in self.nodes and self.nodes[path].perms[0][1] == domid:
                self.removed(None, self.nodes, path)
                self.drop(None, path)
        for path, node in list(self.nodes.items()):
            (letter, owner), *others = node.perms
            perms = (
                (letter, 0 if owner == domid else owner),
                *(entry for entry in others if entry[1] != domid),
            )
            if perms != node.perms:
                self.set(None, path, node.value, perms)
        for caller in self.callers:
            if any("r" in caller.rights(self.nodes[path].perms) for path in ("@releaseDomain", "/")):
                watches = [watch for watch in caller.watches if watch[0] == "@releaseDomain"]
                caller.heard += [(path, token) for path, token, depth in watches if depth is None]
                caller.heard += [(f"{path}/{domid}", token) for path, token, depth in watches if depth]

    # watching

    def watch(self, caller, _, path, token, depth):
        if any(watch[:2] == (path, token) for watch in caller.watches):
            raise Refused("EEXIST")
        caller.watches.append((path, token, depth))
        return b"OK\0"

    def unwatch(self, caller, _, path, token):
        for watch in caller.watches:
            if watch[:2] == (path, token):
                caller.watches.remove(watch)
                return b"OK\0"
        raise Refused("ENOENT")

    def changed(self, tx, path, old=None):
        if tx:
            tx.fired[path] = False
        else:
            acls = [self.nodes[path].perms, self.nodes[parent(path)].perms]
            self.tell(path, [*acls, old] if old else acls, exact=False)

    def removed(self, tx, nodes, path):
        for gone in self.depth_first(nodes, path, inner_first=True):
            if tx:
                tx.fired[gone] = tx.fired.get(gone, True) and gone != path
            else:
                self.tell(gone, (nodes[gone].perms, nodes[parent(gone)].perms), exact=gone != path)

    def tell(self, path, acls, exact):
        for caller in self.callers:
            if any("r" in caller.rights(acl) for acl in acls):
                for top, token, depth in caller.watches:
                    levels = path.count("/") - top.rstrip("/").count("/")
                    reached = is_below(path, top) and (depth is None or levels <= depth)
                    if path == top or (reached and not exact):
                        caller.heard.append((path, token))

    # transactions

    def start(self, caller, _):
        caller.last_id += 1
        caller.transactions[caller.last_id] = Transaction(self.nodes)
        return f"{caller.last_id}\0".encode()

    def end(self, caller, _, number, commit):
        tx = caller.transactions.pop(number)
        if not commit:
            return b"OK\0"
        if tx.failed:
            raise Refused("ENOMEM")
        for path in tx.touched:
            old, new = tx.base.get(path), self.nodes.get(path)
            if (old and old.version) != (new and new.version):
                raise Refused("EAGAIN")
        again = Transaction(self.nodes)
        for method, *args in tx.log:
            method(again, *args)
        owned = self.owned(again.nodes, caller.domid)
        if not caller.privileged and owned > max(self.max_nodes, self.owned(self.nodes, caller.domid)):
            raise Refused("ENOSPC")
        self.nodes = again.nodes
        for path, perms in tx.touched.items():
            if path in tx.fired:
                acls = [perms] if perms else []
                if path in self.nodes:
                    acls += [self.nodes[path].perms, self.nodes[parent(path)].perms]
                self.tell(path, acls, exact=tx.fired[path])
        return b"OK\0"
