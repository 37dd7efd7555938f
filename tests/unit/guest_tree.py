"""A made-up /sys, /dev and store, as a guest has them."""

import os

from xenwire.guest.channel import Places
from xenwire.xenstore import BlockingStore


class Tree:
    """`store`: the socket of a daemon. Its clients are in domain 0, whose paths a guest's stand for."""

    def __init__(self, root, store=None):
        self.sys, self.dev, self.store = root / "sys", root / "dev", store
        self.sys.mkdir(parents=True)
        self.dev.mkdir()
        (self.sys / "bus/xen/devices").mkdir(parents=True)
        for number in range(8):
            (self.dev / f"hvc{number}").touch()
        if store is not None:
            self.be_xen()
            self.write("console/port", "2")
        self._gone = 0

    def be_xen(self):
        (self.sys / "hypervisor").mkdir()
        (self.sys / "hypervisor/type").write_text("xen\n")

    @property
    def places(self):
        return Places(self.sys, self.dev, self.store)

    def write(self, path, value):
        with BlockingStore.connect(self.store) as store:
            store.write(path, value)

    def attach(self, number, name=None, state=4, *, driver=True, error=None):
        """Have a console come: what the toolstack writes, and what the kernel makes of it."""
        folder = self.sys / f"bus/xen/devices/console-{number}"
        folder.mkdir()
        if driver:
            (folder / "driver").mkdir()
        if name is not None:
            self.write(f"device/console/{number}/name", name)
        if error is not None:
            self.write(f"error/device/console/{number}/error", error)
        self.write(f"device/console/{number}/state", str(state))

    def detach(self, number):
        self._move_away(self.sys / f"bus/xen/devices/console-{number}")
        with BlockingStore.connect(self.store) as store:
            store.rm(f"device/console/{number}")

    def plug(self, port, name=None, *, connected=None, terminal=None):
        """Have a port of a virtio-serial device come; `terminal` is what stands in for it."""
        folder = self.sys / f"class/virtio-ports/{port}"
        folder.mkdir(parents=True)
        if name is not None:
            (folder / "name").write_bytes(os.fsencode(name) + b"\n")
        if connected is not None:
            debug = self.sys / "kernel/debug/virtio-ports"
            debug.mkdir(parents=True, exist_ok=True)
            (debug / port).write_text(f"name: {name}\nguest_connected: 0\nhost_connected: {connected:d}\n")
        if terminal is None:
            (self.dev / port).touch()
        else:
            (self.dev / port).symlink_to(terminal)

    def unplug(self, port):
        self._move_away(self.sys / f"class/virtio-ports/{port}")
        (self.dev / port).unlink()

    def _move_away(self, folder):
        """Remove a folder so that its inode is not given again: sysfs does not do that either."""
        self._gone += 1
        folder.rename(self.sys / f"gone-{self._gone}")
