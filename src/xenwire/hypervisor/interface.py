"""What a program needs of a hypervisor: event channels, and memory that another domain has granted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection

__all__ = ["EventChannels", "Grants", "Page"]


class EventChannels(ABC):
    """One-bit signals between domains. Many channels share one file descriptor.

    A port that `pending` has given stays silent until it is unmasked; a signal that comes meanwhile is not
    lost, but given after that.
    """

    @abstractmethod
    def fileno(self) -> int:
        """Give the descriptor that is readable while a port is pending."""

    @abstractmethod
    def bind(self, domid: int, port: int) -> int:
        """Join the port that a domain has offered us, and give ours, which is pending at once.

        Raises NotFound if there is no such domain or offer.
        """

    @abstractmethod
    def offer(self, domid: int) -> int:
        """Make a port that a domain may join, and give it."""

    @abstractmethod
    def unbind(self, port: int) -> None:
        """Close a port of ours. The other end's is then free to be joined again."""

    @abstractmethod
    def notify(self, port: int) -> None:
        """Signal the other end of a port of ours. Where nobody is, nothing happens."""

    @abstractmethod
    def pending(self) -> list[int]:
        """Give the ports that have been signalled, each of them masked from now on; none waits for none.

        A port that was unbound may still turn up.
        """

    @abstractmethod
    def unmask(self, ports: Collection[int]) -> None:
        """Let ports be pending again."""

    @abstractmethod
    def close(self) -> None:
        """Close all ports."""


class Page(ABC):
    """Memory that is shared with another domain. Leave no view of it behind: it cannot be unmapped then."""

    view: memoryview

    @abstractmethod
    def unmap(self) -> None:
        """Give it back. Raises BufferError while another view of it is alive."""


class Grants(ABC):
    """Memory that domains grant to each other, by the reference of the grant."""

    @abstractmethod
    def map(self, domid: int, reference: int) -> Page:
        """Map a page that a domain has granted us, to read and write.

        Raises NotFound if the domain has granted us none under this reference.
        """

    @abstractmethod
    def grant(self, domid: int) -> tuple[int, Page]:
        """Grant a domain a new page of zeros. Gives the reference, and the page, which ends it."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the devices; pages that are mapped stay so."""
