"""Device models that libxl has started, and that are none of ours: where they are found.

(xen: tools/libs/light/libxl_dm.c, libxl_qmp.c)
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from xenwire.devicemodel.nodes import pid_path
from xenwire.runtime.process import ProcessRef
from xenwire.types import DomId

if TYPE_CHECKING:
    from xenwire.xenstore import Store

__all__ = ["MONITORS", "find_process", "monitor_path", "takes_commands"]

MONITORS: Final = Path("/var/run/xen")
"""Where libxl has the monitors of its QEMUs."""


def monitor_path(folder: Path, domid: DomId) -> Path:
    """Give the socket of a QEMU's monitor. QEMU serves one client at a time there."""
    return folder / f"qmp-libxl-{domid}"


async def find_process(store: Store, domid: DomId) -> ProcessRef | None:
    """Give the process of a domain's device model, if it runs.

    Its pid stays in the store when it has died, and may be another's by then: its arguments tell.
    """
    pid = await store.get_text(pid_path(domid))
    if pid is None or not pid.isdecimal():
        return None
    process = ProcessRef.of(int(pid))
    try:
        command = Path(f"/proc/{int(pid)}/cmdline").read_bytes()
    except OSError:
        return None
    wanted = (b"\0-xen-domid\0%d\0" % domid, b"\0-d\0%d\0" % domid)
    return process if any(words in command for words in wanted) else None


async def takes_commands(store: Store, domid: DomId) -> bool:
    """Tell whether it takes commands through the store: qemu-xen-traditional does, QEMU itself does not.

    Where nothing is said it is the former, as for libxl.
    """
    return await store.get_text(f"/libxl/{domid}/dm-version") != "qemu_xen"
