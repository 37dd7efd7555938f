"""The daemon that serves channels."""

from __future__ import annotations

from pathlib import Path

import click

from xenwire.cli._params import host_option
from xenwire.daemon import serve as serve_channels
from xenwire.errors import UsageError
from xenwire.runtime.main import run
from xenwire.runtime.notify import ready

__all__ = ["serve"]

_EVENT_CHANNELS = Path("/dev/xen/evtchn")


@click.command(epilog="\b\nExamples:\n  xenwire serve\n  xenwire -v serve")
@host_option
def serve(host: str | None) -> None:
    """Serve all channels of this host until interrupted.

    The guests do not notice when it ends, or is killed: started again, it goes on where it was. In a domain
    of Xen, a driver domain too, the default is xen:.
    """
    if host not in (None, "", "xen:", "qemu:"):
        raise UsageError(f"not a host: {host}", reason="the kinds of host are xen: and qemu:")
    run(serve_channels(ready, xen=host == "xen:" if host else _EVENT_CHANNELS.exists()))
