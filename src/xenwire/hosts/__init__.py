"""Where domains run. `connect` finds the host; `base` says what every host can do."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from xenwire.errors import UsageError
from xenwire.hosts.base import Domain, DomainInfo, DomainState, Host
from xenwire.hosts.dom0 import refusal

__all__ = ["Domain", "DomainInfo", "DomainState", "Host", "connect"]


def connect(uri: str | None = None) -> AbstractAsyncContextManager[Host]:
    """Give the host that `uri` names, connected while the context lasts; what it needs is started.

    `xen:` is the Xen host whose dom0 this is, `qemu:` plain QEMU with an embedded store. The default is Xen
    where this is a dom0 and its store may be used, else QEMU. Raises UsageError for another URI.
    """
    if uri == "xen:" or (not uri and refusal() is None):
        from xenwire.hosts.xen import XenHost

        return XenHost.connect()
    if uri in (None, "", "qemu:"):
        from xenwire.hosts.qemu import QemuHost

        return QemuHost.connect()
    raise UsageError(
        f"not a host: {uri}", reason="the kinds of host are xen: and qemu:", hint="leave --host out"
    )
