"""What a node's permissions let a domain do (xen: docs/misc/xenstore.txt; C xenstored 4.22)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from xenwire.xenstore.perms import Access, Permission, Permissions

__all__ = ["ANY_DOMAIN", "allows", "inherited", "owns", "without_domain"]

ANY_DOMAIN: Final = 0x7FF5
"""In an entry: every domain (DOMID_ANY; feature bit 3 of the server)."""


def owns(domids: Collection[int], permissions: Permissions) -> bool:
    """Tell whether somebody with these identities is the owner. An owner may do everything."""
    return permissions.owner in domids


def allows(domids: Collection[int], permissions: Permissions, wanted: Access) -> bool:
    """Tell whether somebody with these identities may do what is wanted.

    The first entry that names one of them decides, even if a later one would allow more; the owner's
    entry speaks for all who are not named.
    """
    if owns(domids, permissions):
        return True
    for entry in permissions[1:]:
        if entry.domid in domids:
            return bool(entry.access & wanted)
    return bool(permissions[0].access & wanted)


def inherited(permissions: Permissions, creator: int) -> Permissions:
    """Give the permissions of a new node below one that has `permissions`: the same, with a new owner."""
    if permissions.owner == creator:
        return permissions
    return Permissions((Permission(creator, permissions[0].access), *permissions[1:]))


def without_domain(permissions: Permissions, domid: int) -> Permissions:
    """Drop the entries that name a domain. Where it is the owner, domain 0 becomes it."""
    others = (entry for entry in permissions[1:] if entry.domid != domid)
    owner = permissions[0]._replace(domid=0) if permissions.owner == domid else permissions[0]
    return Permissions((owner, *others))
