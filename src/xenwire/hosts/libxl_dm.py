"""The device model that libxl starts in QEMU's place: `device_model_override = "/usr/bin/xenwire-dm"`."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from xenwire.devicemodel.agent import Agent
from xenwire.devicemodel.libxl import Request, parse_request
from xenwire.devicemodel.libxls_own import MONITORS, monitor_path
from xenwire.devicemodel.nodes import saved_state
from xenwire.devicemodel.setup import Setup
from xenwire.errors import NotFound, UsageError, XenwireError
from xenwire.hosts.logs import qemu_log
from xenwire.hypervisor.shutdown import crash
from xenwire.qemu.monitors import unfit_monitor
from xenwire.qemu.qmp.broker.access import Access
from xenwire.runtime.logs import log_of_stderr
from xenwire.types import DomId
from xenwire.xenstore import Store

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["answer_probe", "find_xen_qemu", "run_for_libxl"]

_log = logging.getLogger(__name__)

_PLACES: Final = (
    "/usr/libexec/xen-qemu-system-i386",  # Debian
    "/usr/lib/xen/bin/qemu-system-i386",
    "/usr/libexec/xen/bin/qemu-system-i386",
    "/usr/local/lib/xen/bin/qemu-system-i386",
)
_STATES: Final = Path("/var/lib/xen")
"""Where libxl reads a device model's state (xen: tools/libs/light/libxl_internal.h)."""


def find_xen_qemu() -> Path:
    """Give the QEMU that can serve Xen's guests: `$XENWIRE_QEMU`, or where distributions have it.

    Raises NotFound.
    """
    wanted = os.environ.get("XENWIRE_QEMU")
    for place in [wanted] if wanted else _PLACES:
        if found := shutil.which(place):
            return Path(found)
    raise NotFound(
        "there is no QEMU for Xen",
        reason=f"no {wanted}" if wanted else f"none of {', '.join(_PLACES)}",
        hint="install qemu-system-xen, or name it in XENWIRE_QEMU",
    )


def answer_probe(arguments: Sequence[str]) -> NoReturn:
    """Become the QEMU that libxl asks what it can do (see `is_probe`): there is nothing for us to do then.

    By its answer libxl decides how to tell QEMU to give up its privileges (`-run-with`, or what came before);
    then it has it quit, and ends the process that it has started. Raises NotFound, and OSError if what was
    found is no program.
    """
    program = find_xen_qemu()
    os.execv(program, [str(program), *arguments])  # noqa: S606


async def run_for_libxl(arguments: Sequence[str]) -> None:
    """Be a domain's device model, by the arguments that libxl gives, until libxl ends it.

    When QEMU, or this, ends under the guest the domain ends with the reason `crash`, and `on_crash` decides.

    Raises UsageError for arguments that are not libxl's, and as `Agent.run`.
    """
    request = parse_request(arguments)
    for option in request.ignored:
        _log.warning("%s means nothing here", option)
    async with Store.connect() as store:

        async def prepare() -> Setup:
            return await _setup(store, request)

        agent = Agent(store, request.domid, prepare, log=_own_log(request))
        try:
            await agent.run()
        finally:
            if agent.lost:
                _crash(request.domid)


def _crash(domid: DomId) -> None:
    try:
        crash(domid)
    except XenwireError as error:  # why QEMU has gone is what matters
        _log.error("%s", error)


async def _setup(store: Store, request: Request) -> Setup:
    arguments, fds, monitors = list(request.arguments), list(request.fds), dict(request.monitors)
    if reason := unfit_monitor(arguments):
        raise UsageError(
            "QEMU's monitor cannot be there",
            reason=reason,
            hint="correct device_model_args in the domain's configuration",
        )
    if request.traditional:
        # Nobody asks for it, but `xl qemu-monitor-command` looks there all the same.
        monitors[monitor_path(MONITORS, request.domid)] = Access.FULL
        memory = await store.get_text(f"/local/domain/{request.domid}/memory/static-max")
        if memory is None or not memory.isdecimal():
            raise XenwireError(f"domain {request.domid} has no memory", reason=f"static-max is {memory!r}")
        arguments += ["-m", str(int(memory) // 1024 - request.video_memory)]
        if request.restore is not None:
            try:
                fd = os.open(request.restore, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                raise XenwireError(f"cannot read {request.restore}", reason=error.strerror) from error
            arguments += ["-incoming", f"fd:{fd}"]
            fds.append(fd)
    return Setup(
        find_xen_qemu(),
        arguments,
        saved_state(_STATES, request.domid),
        fds=fds,
        monitors=monitors,
        listening=request.listening,
        under_xen=True,
        tells_running=not request.restricted,
        start=not request.stopped,
        passthrough=("xen-pci-passthrough", "hostaddr"),
    )


def _own_log(request: Request) -> Path:
    """Give the log that libxl has opened for us, else one of our own."""
    return log_of_stderr() or qemu_log(request.domid)
