"""A real Xen host inside QEMU, on any Linux machine.

    lab = await Lab.start("default", Profile(), progress=print)
    async with lab.session() as session:
        status = await session.run(["xl", "list"], on_stdout=show)
    await lab.stop()

It is booted once; from then on a snapshot is restored, in a second. `machine` is QEMU's arguments, `start`
brings it up, `dom0-init.sh` and `dom0_agent` run in it, `session` talks to the agent in `frames`.
"""

from __future__ import annotations

from xenwire.lab.frames import Tty
from xenwire.lab.lab import Lab, LabState
from xenwire.lab.profile import Profile, Xenstored
from xenwire.lab.session import LabSession

__all__ = ["Lab", "LabSession", "LabState", "Profile", "Tty", "Xenstored"]
