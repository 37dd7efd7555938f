"""Ends the store of $XENWIRE_RUN."""

import asyncio

from xenwire.hosts.qemu import QemuHost

asyncio.run(QemuHost.stop_store())
