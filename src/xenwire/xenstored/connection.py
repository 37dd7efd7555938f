"""Who speaks to the daemon: domains, and the connections over which their requests come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from xenwire.xenstore.perms import Access, Permissions
from xenwire.xenstored.access import ANY_DOMAIN, allows, owns
from xenwire.xenstored.quotas import UNLIMITED, Quotas

if TYPE_CHECKING:
    from xenwire.xenstored.transaction import Transaction
    from xenwire.xenstored.watches import Watch

__all__ = ["ALL_FEATURES", "WATCH_DEPTH", "Connection", "Domain"]

WATCH_DEPTH: Final = 4
ALL_FEATURES: Final = 15
"""Reconnection 1, error field 2, depth of watches 4, DOMID_ANY 8 (xen: xen/include/public/io/xs_wire.h)."""

_MAX_ID: Final = 0xFFFF_FFFF


class Domain:
    """What the daemon knows of a domain. A domain that comes back after its release gets a new record."""

    def __init__(self, domid: int, quotas: Quotas) -> None:
        self.domid = domid
        self.quotas = quotas
        self.features = ALL_FEATURES
        self.introduced = False
        self.shut_down = False
        self._target: int | None = None
        self.identities: tuple[int, ...] = (domid, ANY_DOMAIN)

    @property
    def target(self) -> int | None:
        """The domain whose rights this one has too, as the device model of a stub domain needs them."""
        return self._target

    @target.setter
    def target(self, target: int | None) -> None:
        self._target = target
        self.identities = (self.domid, *([] if target is None else [target]), ANY_DOMAIN)


class Connection:
    """One stream of requests, with the watches and transactions it opened.

    A privileged connection passes every permission and quota.
    """

    def __init__(self, number: int, domain: Domain, *, privileged: bool) -> None:
        self.number = number
        self.domain = domain
        self.privileged = privileged
        self.watches: dict[tuple[str, bytes], Watch] = {}
        self.transactions: dict[int, Transaction] = {}
        self._last_id = 0

    @property
    def domid(self) -> int:
        """The domain whose name it speaks in."""
        return self.domain.domid

    @property
    def quotas(self) -> Quotas:
        """The limits that hold for it."""
        return UNLIMITED if self.privileged else self.domain.quotas

    def may_read(self, permissions: Permissions) -> bool:
        """Tell whether it may read a node that has these permissions."""
        return self.privileged or allows(self.domain.identities, permissions, Access.READ)

    def may_write(self, permissions: Permissions) -> bool:
        """Tell whether it may write a node that has these permissions."""
        return self.privileged or allows(self.domain.identities, permissions, Access.WRITE)

    def owns(self, permissions: Permissions) -> bool:
        """Tell whether it may set the permissions of a node that has these."""
        return self.privileged or owns(self.domain.identities, permissions)

    def open(self, transaction: Transaction) -> int:
        """Add a transaction and give its id: counted from 1, never 0, none that is in use."""
        while True:
            self._last_id = self._last_id % _MAX_ID + 1
            if self._last_id not in self.transactions:
                self.transactions[self._last_id] = transaction
                return self._last_id
