"""Where domains run. `connect` finds the host; `base` says what every host can do."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from xenwire.errors import UsageError
from xenwire.hosts.base import Domain, DomainInfo, DomainState, Host

__all__ = ["Domain", "DomainInfo", "DomainState", "Host", "connect"]


def connect(uri: str | None = None) -> AbstractAsyncContextManager[Host]:
    """Give the host that `uri` names, connected while the context lasts; what it needs is started.

    `qemu:` is plain QEMU with an embedded store, and the default. Raises UsageError for another URI.
    """
    if uri in (None, "", "qemu:"):
        from xenwire.hosts.qemu import QemuHost

        return QemuHost.connect()
    raise UsageError(f"not a host: {uri}", reason="the only kind of host is qemu:", hint="leave --host out")
