"""What an unprivileged domain may use (xenstore-control quota; oxenstored.conf)."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["DEFAULT_QUOTAS", "UNLIMITED", "Quotas", "exceeds"]


class Quotas(NamedTuple):
    """The limits of one domain. Exactly the number given is admitted; 0 stands for no limit."""

    nodes: int = 1000
    """Nodes owned."""
    watches: int = 128
    transactions: int = 10
    """Transactions open at a time."""
    transaction_nodes: int = 1024
    """Different nodes that one transaction touches, those only read and absent ones included."""
    node_permissions: int = 5
    """Entries in a node's permissions."""
    path_max: int = 2048
    """Bytes in a path, a leading /local/domain/N/ not counted."""
    node_size: int = 2048
    """Bytes of a node as `tree.Node.size` counts them."""

    @classmethod
    def names(cls) -> list[str]:
        """Give the names on the wire, such as `node-size`."""
        return [field.replace("_", "-") for field in cls._fields]

    def get(self, name: str) -> int:
        """Give a limit by its name on the wire. Raises KeyError."""
        return dict(zip(self.names(), self, strict=True))[name]

    def with_limit(self, name: str, value: int) -> Quotas:
        """Give these limits with one changed, by its name on the wire. Raises KeyError."""
        self.get(name)
        return self._replace(**{name.replace("-", "_"): value})


DEFAULT_QUOTAS: Final = Quotas()
UNLIMITED: Final = Quotas(*(0 for _ in Quotas._fields))


def exceeds(limit: int, amount: int) -> bool:
    """Tell whether an amount is more than a limit admits."""
    return 0 < limit < amount
