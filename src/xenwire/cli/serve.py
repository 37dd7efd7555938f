"""The daemon that serves channels."""

from __future__ import annotations

import click

from xenwire.daemon import serve as serve_channels
from xenwire.runtime.main import run
from xenwire.runtime.notify import ready

__all__ = ["serve"]


@click.command(epilog="\b\nExamples:\n  xenwire serve\n  xenwire -v serve")
def serve() -> None:
    """Serve all channels of this host until interrupted.

    The guests do not notice when it ends, or is killed: started again, it goes on where it was.
    """
    run(serve_channels(ready))
