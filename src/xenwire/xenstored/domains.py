"""The operations on domains, and their deaths.

No ring is mapped here: domains are numbers that the toolstack introduces and releases.
"""

from __future__ import annotations

from typing import Final

from xenwire.types import MAX_DOMID
from xenwire.xenstore.wire import join
from xenwire.xenstored import requests
from xenwire.xenstored.access import without_domain
from xenwire.xenstored.connection import ALL_FEATURES, Domain
from xenwire.xenstored.effects import Effect
from xenwire.xenstored.operation import OK, Request
from xenwire.xenstored.quotas import Quotas
from xenwire.xenstored.refusal import Refused
from xenwire.xenstored.store import PRIVILEGED_DOMID, Store
from xenwire.xenstored.transaction import Workspace
from xenwire.xenstored.tree import SPECIALS

__all__ = [
    "get_domain_path",
    "get_feature",
    "get_quota",
    "introduce",
    "is_domain_introduced",
    "kill",
    "release",
    "resume",
    "set_feature",
    "set_quota",
    "set_target",
    "shut_down",
]

_SELF: Final = 0x7FF0
"""Stands for the caller's own domain (DOMID_SELF)."""


def introduce(store: Store, request: Request) -> bytes:
    """INTRODUCE: a domain is there. Known already: its connections start afresh, and nobody is told."""
    domid_text, _, port, *_ = requests.strings(request.payload, 3)
    domid = requests.domid(domid_text)
    if domid > MAX_DOMID or requests.number(port) == 0:
        raise Refused("EINVAL")
    if domid in store.dead:
        # Whoever named the dead domain meanwhile did not mean this one (XSA-322).
        request.before += _purge(store, domid)
        store.dead.remove(domid)
    domain = store.domain(domid)
    if not domain.introduced:
        domain.introduced = True
        request.before += store.special_events("@introduceDomain", domid)
    elif domid != PRIVILEGED_DOMID:
        _reset_connections(store, domid)
    return OK


def release(store: Store, request: Request) -> bytes:
    """RELEASE: the store forgets a domain with all that it owned, as if it had died."""
    domain = _introduced_guest(store, request)
    request.before += _destroy(store, domain.domid)
    return OK


def resume(store: Store, request: Request) -> bytes:
    """RESUME: a domain that had shut down goes on, so that its next shutdown counts."""
    _introduced_guest(store, request).shut_down = False
    return OK


def set_target(store: Store, request: Request) -> bytes:
    """SET_TARGET: one domain gets the rights of another."""
    domain, target = (
        _introduced(store, requests.domid(text)) for text in requests.strings(request.payload, 2)[:2]
    )
    domain.target = target.domid
    return OK


def is_domain_introduced(store: Store, request: Request) -> bytes:
    """IS_DOMAIN_INTRODUCED: `T` or `F`."""
    domid = requests.domid(requests.single(request.payload))
    known = domid == _SELF or (domid in store.domains and store.domains[domid].introduced)
    return b"T\0" if known else b"F\0"


def get_domain_path(store: Store, request: Request) -> bytes:
    """GET_DOMAIN_PATH: the home of a domain, whether or not it exists."""
    return join(f"/local/domain/{requests.domid(requests.single(request.payload))}")


def get_feature(store: Store, request: Request) -> bytes:
    """GET_FEATURE: what the server offers to the caller; the privileged may ask for another domain."""
    named = requests.strings(request.payload, 0, 1)
    if not named:
        return join(str(request.connection.domain.features))
    _privileged(request)
    return join(str(_existing(store, requests.domid(named[0])).features))


def set_feature(store: Store, request: Request) -> bytes:
    """SET_FEATURE: what the server shall offer to a domain that is not introduced yet."""
    domid, bits = requests.strings(request.payload, 2, 2)
    features = requests.number(bits)
    domain = _existing(store, requests.domid(domid))
    if domain.introduced:
        raise Refused("EBUSY")
    if features & ~ALL_FEATURES:
        raise Refused("EINVAL")
    domain.features = features
    return OK


def get_quota(store: Store, request: Request) -> bytes:
    """GET_QUOTA: the names of all quotas, or one's default, or one's value for a domain."""
    named = requests.strings(request.payload, 0, 2)
    if not named:
        return join(" ".join(Quotas.names()))
    *domid, name = named
    quotas = _existing(store, requests.domid(domid[0])).quotas if domid else store.quotas
    try:
        return join(str(quotas.get(name.decode("latin-1"))))
    except KeyError:
        raise Refused("EINVAL") from None


def set_quota(store: Store, request: Request) -> bytes:
    """SET_QUOTA: a limit of one domain, or the default of those to come. 0 takes the limit away."""
    *domid, name, value = requests.strings(request.payload, 2, 3)
    holder = _existing(store, requests.domid(domid[0])) if domid else store
    try:
        holder.quotas = holder.quotas.with_limit(name.decode("latin-1"), requests.number(value))
    except KeyError:
        raise Refused("EINVAL") from None
    return OK


def shut_down(store: Store, domid: int) -> list[Effect]:
    """Take note that a domain has shut down or crashed. Told once, until RESUME."""
    domain = store.domains.get(domid)
    if domain is None or not domain.introduced or domain.shut_down:
        return []
    domain.shut_down = True
    return list(store.special_events("@releaseDomain", domid))


def kill(store: Store, domid: int) -> list[Effect]:
    """Take note that a domain is dead: no node may be given to it, until INTRODUCE brings the id back."""
    if domid == PRIVILEGED_DOMID or domid in store.dead:
        return []
    store.dead.add(domid)
    return _destroy(store, domid)


def _destroy(store: Store, domid: int) -> list[Effect]:
    """Forget a domain: its watches and transactions, its nodes, its entries in permissions."""
    domain = store.domains.pop(domid, None)
    for other in store.domains.values():
        if other.target == domid:
            other.target = None
    _reset_connections(store, domid)
    effects = _purge(store, domid)
    if domain is not None and domain.introduced:
        effects += store.special_events("@releaseDomain", domid)
    return effects


def _purge(store: Store, domid: int) -> list[Effect]:
    """Remove the nodes that a domain owns, with all below them, and then its entries elsewhere, untold."""
    workspace = Workspace(store.tree)
    for root in ("/", *SPECIALS):
        for path, node in store.tree.subtree(root):
            permissions = node.permissions
            if all(entry.domid != domid for entry in permissions) or workspace.tree.find(path) is None:
                continue
            if permissions.owner == domid and path != root:
                workspace.remove(path)
            else:
                workspace.put(path, node.value, without_domain(permissions, domid))
    events: list[Effect] = list(store.events(workspace.changes))
    store.tree = workspace.tree
    return events


def _reset_connections(store: Store, domid: int) -> None:
    for connection in list(store.connections.values()):
        if connection.domid == domid:
            store.reset(connection)


def _introduced(store: Store, domid: int) -> Domain:
    domain = store.domains.get(domid)
    if domain is None or not domain.introduced:
        raise Refused("ENOENT")
    return domain


def _introduced_guest(store: Store, request: Request) -> Domain:
    domid = requests.domid(requests.single(request.payload))
    if domid == PRIVILEGED_DOMID:
        raise Refused("EINVAL")
    return _introduced(store, domid)


def _existing(store: Store, domid: int) -> Domain:
    if not store.exists(domid):
        raise Refused("ENOENT")
    return store.domain(domid)


def _privileged(request: Request) -> None:
    if not request.connection.privileged:
        raise Refused("EACCES")
