"""The operations on nodes: reading, writing, removing, permissions.

Rights are asked of a node alone, never of those above it. Of a node that is missing the caller learns only
if he had the same right on the nearest node above that is there (XSA-115).
"""

from __future__ import annotations

from collections.abc import Callable

from xenwire.xenstore.perms import Permissions
from xenwire.xenstore.wire import MAX_PAYLOAD, join
from xenwire.xenstored import requests
from xenwire.xenstored.access import ANY_DOMAIN, inherited
from xenwire.xenstored.connection import Connection
from xenwire.xenstored.operation import OK, Request
from xenwire.xenstored.quotas import exceeds
from xenwire.xenstored.refusal import Refused
from xenwire.xenstored.store import Store
from xenwire.xenstored.transaction import Workspace
from xenwire.xenstored.tree import Node

__all__ = ["directory", "directory_part", "get_perms", "mkdir", "read", "rm", "set_perms", "write"]


def read(store: Store, request: Request) -> bytes:
    """READ: the value of a node."""
    return _readable(store, request, requests.single(request.payload)).value


def directory(store: Store, request: Request) -> bytes:
    """DIRECTORY: the names of the children, in order of creation."""
    return join(*_readable(store, request, requests.single(request.payload)).children)


def directory_part(store: Store, request: Request) -> bytes:
    """DIRECTORY_PART: the generation, and as many whole names as fit, from a byte offset into their list.

    One NUL more tells that the list ends here.
    """
    path, offset = requests.strings(request.payload, 2, 2)
    node = _readable(store, request, path)
    listing = join(*node.children)[requests.number(offset) :]
    generation = join(str(node.generation))
    part = listing[: MAX_PAYLOAD - len(generation) - 1]
    part = part[: part.rfind(b"\0") + 1]
    return generation + part + (b"\0" if len(part) == len(listing) else b"")


def get_perms(store: Store, request: Request) -> bytes:
    """GET_PERMS: the permissions of a node or special node."""
    node = _readable(store, request, requests.single(request.payload), special=True)
    return join(*map(str, node.permissions))


def write(store: Store, request: Request) -> bytes:
    """WRITE: a node gets a value, and is made with all that is missing above it."""
    text, value = requests.cut(request.payload)
    path = requests.canonical(text, request.connection)
    workspace = _workspace(store, request)
    nearest, missing = _locate(workspace, path, request.connection.may_write)
    if missing:
        _create(request.connection, workspace, nearest, missing, value)
    else:
        _check_size(request.connection, nearest._replace(value=value))
        workspace.put(path, value, nearest.permissions)
        workspace.fire(path)
    return _done(store, request, workspace)


def mkdir(store: Store, request: Request) -> bytes:
    """MKDIR: a node is made if it is missing."""
    path = requests.canonical(requests.single(request.payload), request.connection)
    workspace = _workspace(store, request)
    nearest, missing = _locate(workspace, path, request.connection.may_write)
    if missing:
        _create(request.connection, workspace, nearest, missing, b"")
    return _done(store, request, workspace)


def rm(store: Store, request: Request) -> bytes:
    """RM: a node goes, with all below it, whatever their permissions. It may be missing, its parent not."""
    path = requests.canonical(requests.single(request.payload), request.connection)
    workspace = _workspace(store, request)
    _, missing = _locate(workspace, path, request.connection.may_write)
    if len(missing) > 1:
        raise Refused("ENOENT")
    if path == "/":
        raise Refused("EINVAL")
    if not missing:
        workspace.remove(path)
    return _done(store, request, workspace)


def set_perms(store: Store, request: Request) -> bytes:
    """SET_PERMS: the owner sets a node's permissions; only the privileged give it to another owner."""
    connection = request.connection
    text, *entries = requests.strings(request.payload, 2)
    if exceeds(connection.quotas.node_permissions, len(entries)):
        raise Refused("ENOSPC")
    permissions = requests.permissions(entries)
    if not store.exists(permissions.owner) and permissions.owner != ANY_DOMAIN:
        raise Refused("ENOENT")
    path = requests.canonical(text, connection, special=True)
    workspace = _workspace(store, request)
    node = _existing(workspace, path, connection.owns)
    if not connection.privileged and permissions.owner != node.permissions.owner:
        raise Refused("EPERM")
    _check_size(connection, node._replace(permissions=permissions))
    workspace.put(path, node.value, permissions)
    workspace.fire(path, node.permissions)
    return _done(store, request, workspace)


def _workspace(store: Store, request: Request) -> Workspace:
    return request.transaction or Workspace(store.tree)


def _done(store: Store, request: Request, workspace: Workspace) -> bytes:
    """Make changes outside of a transaction take effect."""
    if request.transaction is None:
        request.before += store.events(workspace.changes)
        store.tree = workspace.tree
    return OK


def _locate(
    workspace: Workspace, path: str, allowed: Callable[[Permissions], bool]
) -> tuple[Node, list[str]]:
    """Find a node, or the nearest one above it, to which the caller needs a right. Raises Refused EACCES."""
    nearest, missing = workspace.locate(path)
    if not allowed(nearest.permissions):
        raise Refused("EACCES")
    return nearest, missing


def _existing(workspace: Workspace, path: str, allowed: Callable[[Permissions], bool]) -> Node:
    """Find a node to which the caller needs a right. Raises Refused EACCES or ENOENT."""
    node, missing = _locate(workspace, path, allowed)
    if missing:
        raise Refused("ENOENT")
    return node


def _readable(store: Store, request: Request, text: bytes, *, special: bool = False) -> Node:
    path = requests.canonical(text, request.connection, special=special)
    return _existing(_workspace(store, request), path, request.connection.may_read)


def _create(
    connection: Connection, workspace: Workspace, nearest: Node, missing: list[str], value: bytes
) -> None:
    """Make the last of the missing nodes and those above it. What domains make, they own."""
    permissions = nearest.permissions
    if not connection.privileged:
        permissions = inherited(permissions, connection.domid)
    count = workspace.tree.owned(permissions.owner) + len(missing)
    if exceeds(connection.quotas.nodes, count):
        raise Refused("ENOSPC")
    parents = [nearest, *(Node(b"", permissions, {}, 0) for _ in missing[1:])]
    for parent, child in zip(parents, missing, strict=True):
        _check_size(connection, parent, len(child) - child.rindex("/"))
    _check_size(connection, Node(value, permissions, {}, 0))
    workspace.put(missing[-1], value, permissions)
    workspace.fire(missing[-1])


def _check_size(connection: Connection, node: Node, added: int = 0) -> None:
    """Raise Refused ENOSPC if a node is too large, with so many bytes more for the name of a new child."""
    if connection.quotas.node_size and node.size + added > connection.quotas.node_size:
        raise Refused("ENOSPC")
