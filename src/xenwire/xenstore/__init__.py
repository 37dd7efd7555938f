"""Xenstore as its clients see it: `Store` for asyncio, `BlockingStore` without.

Names are imported when they are first asked for, so that `xenwire.xenstore.wire` costs no asyncio.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from xenwire.xenstore.blocking import BlockingStore, BlockingTransaction, BlockingWatch
    from xenwire.xenstore.client import Nodes, Store, Transaction
    from xenwire.xenstore.errors import (
        InvalidRequest,
        StoreClosed,
        StoreConflict,
        StoreDenied,
        StoreError,
        StoreNotFound,
        TransactionConflict,
    )
    from xenwire.xenstore.perms import Access, Permission, Permissions
    from xenwire.xenstore.watch import Watch

__all__ = [
    "Access",
    "BlockingStore",
    "BlockingTransaction",
    "BlockingWatch",
    "InvalidRequest",
    "Nodes",
    "Permission",
    "Permissions",
    "Store",
    "StoreClosed",
    "StoreConflict",
    "StoreDenied",
    "StoreError",
    "StoreNotFound",
    "Transaction",
    "TransactionConflict",
    "Watch",
]

_MODULES: Final = {
    "Access": "perms",
    "BlockingStore": "blocking",
    "BlockingTransaction": "blocking",
    "BlockingWatch": "blocking",
    "Nodes": "client",
    "Permission": "perms",
    "Permissions": "perms",
    "Store": "client",
    "Transaction": "client",
    "Watch": "watch",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_MODULES.get(name, 'errors')}")
    return getattr(module, name)
