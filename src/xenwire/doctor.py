"""What this machine can do, what each missing thing costs, and what mends it."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from xenwire.errors import XenwireError
from xenwire.images import Release, dom0_image, tiny_guest
from xenwire.qemu.capabilities import capabilities
from xenwire.qemu.program import find_qemu
from xenwire.runtime.places import cache_dir, run_dir
from xenwire.runtime.process import end, spawn

__all__ = ["Finding", "Health", "examine"]

_MINIMUM: Final = (7, 0)
"""The oldest QEMU that is known to do: Debian 12 has 7.2."""

_LAB_MEMORY: Final = 5 << 30  # bytes; the lab's machine has 4 GiB
_LAB_DISK: Final = 3 << 30  # bytes in the cache for packages, image and snapshot

_TRY_SECONDS: Final = 5.0
_BOOT_SECTOR: Final = bytes.fromhex("b010 baf400 ee f4").ljust(510, b"\0") + b"\x55\xaa"
"""mov al, 0x10; mov dx, 0xf4; out dx, al; hlt: QEMU's isa-debug-exit then ends with status 2 * 0x10 + 1."""
_BOOTED: Final = 33


class Health(StrEnum):
    """How a finding is to be taken."""

    OK = "ok"
    ABSENT = "absent"
    """Nice to have; nothing is wrong without it."""
    MISSING = "missing"
    """Something does not work until it is mended."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `cost`: what does not work without it. `mend`: the command that helps."""

    name: str
    health: Health
    found: str
    cost: str | None = None
    mend: str | None = None


async def examine() -> list[Finding]:
    """Look at everything; about a second, six where /dev/kvm is broken."""
    qemu, kvm = await asyncio.gather(_qemu(), _kvm())
    return [_python(), qemu, kvm, _xen(), *_tools(), _namespaces(), *_room(), *_folders(), *_images()]


def _python() -> Finding:
    return Finding("python", Health.OK, sys.version.split()[0])


async def _qemu() -> Finding:
    """Find QEMU and have it run a boot sector."""
    cost = "no domains, no lab"
    try:
        program = find_qemu()
        version = (await capabilities(program)).version
    except XenwireError as error:
        return Finding("qemu", Health.MISSING, str(error), cost, error.hint)
    if version[:2] < _MINIMUM:
        return Finding(
            "qemu",
            Health.MISSING,
            f"{program} {version}",
            f"{cost}: 7.0 is needed",
            "set XENWIRE_QEMU to a newer one",
        )
    if not await _boots(program, "tcg"):
        return Finding(
            "qemu", Health.MISSING, f"{program} {version} runs no guest", cost, f"try by hand: {program}"
        )
    return Finding("qemu", Health.OK, f"{program} {version}, runs a guest")


async def _kvm() -> Finding:
    """Have KVM run a boot sector: on some virtual machines it opens, and no guest ever gets going."""
    device = Path("/dev/kvm")
    cost = "guests run under software emulation, some ten times slower"
    if not device.exists():
        return Finding("kvm", Health.ABSENT, "there is no /dev/kvm", cost)
    if not os.access(device, os.R_OK | os.W_OK):
        return Finding("kvm", Health.ABSENT, "/dev/kvm may not be opened", cost, f"usermod -aG kvm {_user()}")
    try:
        works = await _boots(find_qemu(), "kvm")
    except XenwireError as error:
        return Finding("kvm", Health.ABSENT, str(error), cost, error.hint)
    if works:
        return Finding("kvm", Health.OK, "/dev/kvm runs a guest")
    return Finding("kvm", Health.ABSENT, "/dev/kvm opens and runs no guest", cost)


async def _boots(program: Path, accelerator: str) -> bool:
    """Tell whether a guest of one sector gets to its end."""
    with tempfile.TemporaryDirectory(prefix="xenwire-") as folder:
        disk = Path(folder) / "sector"
        disk.write_bytes(_BOOT_SECTOR)
        process = await spawn(
            [
                program,
                *("-accel", accelerator, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
                *("-device", "isa-debug-exit,iobase=0xf4,iosize=1", "-boot", "a"),
                *("-drive", f"file={disk},format=raw,if=floppy,readonly=on"),
            ],
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            die_with_parent=True,
        )
        ending = asyncio.ensure_future(process.wait())
        try:
            await asyncio.wait([ending], timeout=_TRY_SECONDS)
        finally:
            await end(process, 0)
        return await ending == _BOOTED


def _xen() -> Finding:
    """Look whether this is a Xen host's dom0."""
    try:
        control = "control_d" in Path("/proc/xen/capabilities").read_text()
    except OSError:
        control = False
    if control:
        return Finding("xen", Health.OK, "this is dom0 of a Xen host")
    return Finding(
        "xen", Health.ABSENT, "this is no Xen host", "domains run under plain QEMU; Xen only in the lab"
    )


def _tools() -> Iterator[Finding]:
    for program, package, cost in (
        ("setpriv", "util-linux", "no device model can be started"),
        ("xenstore-ls", "xenstore-utils", "no demo"),
        ("apt-get", "apt", "no images: they are made of Debian's packages"),
        ("dpkg-deb", "dpkg", "no images: they are made of Debian's packages"),
        ("mmdebstrap", "mmdebstrap", "no lab: its image cannot be built"),
        ("mkfs.ext4", "e2fsprogs", "no lab: its image cannot be built"),
        ("qemu-img", "qemu-utils", "no lab: it cannot be kept and restored"),
    ):
        place = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
        if place:
            yield Finding(program, Health.OK, place)
        else:
            yield Finding(program, Health.MISSING, "not installed", cost, _install(package))


def _namespaces() -> Finding:
    """Look whether an ordinary user may make files of other owners, in a user namespace."""
    if os.geteuid() == 0:
        return Finding("namespaces", Health.OK, "not needed by root")
    cost = "no lab: its image cannot be built by an ordinary user"
    if shutil.which("newuidmap") is None:
        return Finding("namespaces", Health.MISSING, "there is no newuidmap", cost, _install("uidmap"))
    user = _user()
    ranges = [Path(f"/etc/sub{kind}id") for kind in "ug"]
    for path in ranges:
        if not path.exists() or not any(
            line.startswith(f"{user}:") for line in path.read_text().splitlines()
        ):
            return Finding(
                "namespaces",
                Health.MISSING,
                f"{path} has no range for {user}",
                cost,
                f"sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}",
            )
    return Finding("namespaces", Health.OK, f"{user} has a range of owners")


def _room() -> Iterator[Finding]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if memory >= _LAB_MEMORY:
        yield Finding("memory", Health.OK, f"{memory >> 20} MiB")
    else:
        yield Finding(
            "memory", Health.MISSING, f"{memory >> 20} MiB", "a lab of the default size may not fit",
            "give it less: xenwire lab run --memory 2048",
        )  # fmt: skip
    cache = cache_dir()
    free = shutil.disk_usage(cache).free
    if free >= _LAB_DISK:
        yield Finding("disk", Health.OK, f"{free >> 20} MiB free in {cache}")
    else:
        yield Finding(
            "disk", Health.MISSING, f"{free >> 20} MiB free in {cache}", f"no lab: {_LAB_DISK >> 20} MiB",
            "set XDG_CACHE_HOME to a folder with more room",
        )  # fmt: skip


def _folders() -> Iterator[Finding]:
    for name, make, variable in (
        ("run folder", run_dir, "XENWIRE_RUN"),
        ("cache", cache_dir, "XDG_CACHE_HOME"),
    ):
        try:
            folder = make()
        except XenwireError as error:
            yield Finding(name, Health.MISSING, str(error), "nothing works", error.hint)
            continue
        if os.access(folder, os.W_OK | os.X_OK):
            yield Finding(name, Health.OK, str(folder))
        else:
            yield Finding(
                name,
                Health.MISSING,
                f"{folder} may not be written",
                "nothing works",
                f"set {variable} to another",
            )


def _images() -> Iterator[Finding]:
    guest = tiny_guest()
    if guest:
        yield Finding("tiny guest", Health.OK, str(guest.kernel.parent))
    else:
        yield Finding(
            "tiny guest", Health.ABSENT, "not built yet", "the first demo builds it", "xenwire image build"
        )
    dom0 = dom0_image(Release.BOOKWORM)
    if dom0:
        yield Finding("lab image", Health.OK, str(dom0.root.parent))
    else:
        yield Finding(
            "lab image", Health.ABSENT, "not built yet", "the first lab builds it", "xenwire lab build"
        )


def _install(package: str) -> str:
    return f"{'' if os.geteuid() == 0 else 'sudo '}apt-get install {package}"


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
