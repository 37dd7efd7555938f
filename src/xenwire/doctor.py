"""What this machine can do, what each missing thing costs, and the command that mends it.

A thing is `missing` if without it something does not work now: domains, the demo, the tiny guest, a lab of
the default profile. Else it is `absent`: what only speeds things up, and what builds an image, or boots a lab
the first time, once that has been done.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, Self

from xenwire.errors import XenwireError
from xenwire.hosts.dom0 import refusal
from xenwire.images import check_builder, dom0_image, tiny_guest
from xenwire.lab import Profile
from xenwire.qemu.accelerator import KVM, kvm_works, runs_guest
from xenwire.qemu.capabilities import probe
from xenwire.qemu.program import find_qemu
from xenwire.runtime.places import cache_dir, run_dir

__all__ = ["Finding", "Health", "examine"]

_LAB_DISK: Final = 3 << 30  # bytes in the cache for packages, image and snapshot
_KEYRING: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


class Health(StrEnum):
    """How a finding is to be taken."""

    OK = "ok"
    ABSENT = "absent"
    """Nothing that a user can ask for now fails for want of it."""
    MISSING = "missing"
    """Something does not work until it is mended."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `cost`: what does not work without it, and advice. `mend`: a command."""

    name: str
    health: Health
    found: str
    cost: str | None = None
    mend: str | None = None


async def examine() -> list[Finding]:
    """Look at everything; about a second, six where /dev/kvm opens and runs nothing.

    What another finding keeps from being looked at is left out: images and disk if the cache cannot be used,
    all that takes a process (QEMU, KVM, the image builder) if setpriv is missing, KVM if QEMU does not work.
    """
    folders = [
        _folder("run folder", run_dir, "XENWIRE_RUN", "no domains, no lab"),
        _folder("cache", cache_dir, "XDG_CACHE_HOME", "no images, no lab"),
    ]
    cached = folders[1].health is Health.OK
    made = _Made.find() if cached else _Made()
    starter = _tool("setpriv", "util-linux", "no domains, no lab")
    processes = await _processes(made) if starter.health is Health.OK else []
    return [
        Finding("python", Health.OK, sys.version.split()[0]),
        *processes,
        _xen(),
        starter,
        *_tools(made),
        _memory(),
        *folders,
        *(_kept(made) if cached else ()),
    ]


@dataclass(frozen=True, slots=True)
class _Made:
    """What has been built already, and needs no builder any more."""

    guest: Path | None = None
    lab: Path | None = None
    booted: bool = False

    @classmethod
    def find(cls) -> Self:
        guest, dom0 = tiny_guest(), dom0_image(Profile().release)
        return cls(
            guest.kernel.parent if guest else None,
            dom0.root.parent if dom0 else None,
            dom0 is not None and any((cache_dir() / "labs").glob("[!.]*/state")),
        )


def _needed(made: bool) -> Health:
    """Give the health of something that is not there, and only needed to make something."""
    return Health.ABSENT if made else Health.MISSING


async def _processes(made: _Made) -> list[Finding]:
    """Look at what takes other programs, all at once."""
    qemu, kvm, builder = await asyncio.gather(_qemu(), _kvm(), _builder(made))
    return [qemu, *([kvm] if qemu.health is Health.OK else []), builder]


async def _qemu() -> Finding:
    """Find QEMU and have it run a boot sector."""
    cost = "no domains, no lab"
    try:
        program = find_qemu()
    except XenwireError as error:
        mend = "unset XENWIRE_QEMU" if os.environ.get("XENWIRE_QEMU") else _install("qemu-system-x86")
        return Finding("qemu", Health.MISSING, str(error.reason), cost, mend)
    try:
        found = await probe(program)
        found.require_recent(program)
        works = await runs_guest(program, "tcg")
    except XenwireError as error:
        return Finding("qemu", Health.MISSING, str(error), _advised(cost, error))
    if works:
        return Finding("qemu", Health.OK, f"{program} {found.version}, runs a guest")
    return Finding("qemu", Health.MISSING, f"{program} {found.version} runs no guest", cost)


async def _kvm() -> Finding:
    """Have KVM run a guest, whatever is remembered of it."""
    cost = "guests run under software emulation, some ten times slower"
    if not KVM.exists():
        return Finding("kvm", Health.ABSENT, f"there is no {KVM}", cost)
    if not os.access(KVM, os.R_OK | os.W_OK):
        return Finding(
            "kvm",
            Health.ABSENT,
            f"you may not open {KVM}",
            f"{cost}; log in again after mending",
            _as_root(f"usermod -aG kvm {_user()}"),
        )
    if await kvm_works(anew=True):
        return Finding("kvm", Health.OK, f"{KVM} runs a guest")
    return Finding("kvm", Health.ABSENT, f"{KVM} opens and runs no guest", cost)


async def _builder(made: _Made) -> Finding:
    """Look whether this user can make a lab's disk."""
    name, cost = "image builder", "no lab's image can be built"
    try:
        await check_builder()
    except XenwireError as error:
        if packages := error.context.get("packages"):
            return Finding(name, _needed(made.lab is not None), str(error.reason), cost, _install(*packages))
        mend = None
        if "/etc/sub" in str(error):
            ids = "100000-165535"
            mend = _as_root(f"usermod --add-subuids {ids} --add-subgids {ids} {_user()}")
        return Finding(name, _needed(made.lab is not None), str(error.reason), _advised(cost, error), mend)
    return Finding(name, Health.OK, "makes a lab's disk")


def _xen() -> Finding:
    """Look whether this is a Xen host's dom0, as `connect` does."""
    error = refusal()
    if error is None:
        return Finding("xen", Health.OK, "this is dom0 of a Xen host")
    return Finding("xen", Health.ABSENT, str(error), "domains run under plain QEMU; Xen only in the lab")


def _tools(made: _Made) -> Iterator[Finding]:
    images = made.guest is not None and made.lab is not None
    yield _tool("xenstore-ls", "xenstore-utils", "no demo")
    yield _tool("qemu-img", "qemu-utils", "no lab can be booted the first time", _needed(made.booted))
    yield _tool("apt-get", "apt", "no image can be built", _needed(images))
    yield _tool("dpkg-deb", "dpkg", "no image can be built", _needed(images))
    if _KEYRING.exists():
        yield Finding("keyring", Health.OK, str(_KEYRING))
    else:
        yield Finding(
            "keyring",
            _needed(made.lab is not None),
            f"Debian's keys are not in {_KEYRING}",
            "no lab's image can be built",
            _install("debian-archive-keyring"),
        )


def _tool(program: str, package: str, cost: str, health: Health = Health.MISSING) -> Finding:
    place = shutil.which(program)
    if place:
        return Finding(program, Health.OK, place)
    return Finding(program, health, "not installed", cost, _install(package))


def _memory() -> Finding:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    wanted = Profile().memory
    if memory >> 20 >= wanted:
        return Finding("memory", Health.OK, f"{memory >> 20} MiB")
    return Finding(
        "memory",
        Health.MISSING,
        f"{memory >> 20} MiB",
        f"a lab of the default size, {wanted} MiB, does not fit; one of 2048 may",
        "xenwire lab run --memory 2048 -- xl info",
    )


def _folder(name: str, make: Callable[[], Path], variable: str, cost: str) -> Finding:
    try:
        folder = make()
        if os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            return Finding(name, Health.OK, str(folder))
        found = f"you may not write {folder}"
    except XenwireError as error:
        found = str(error)
    mend = f"unset {variable}" if os.environ.get(variable) else None
    return Finding(name, Health.MISSING, found, f"{cost}; set {variable} to a folder of your own", mend)


def _kept(made: _Made) -> Iterator[Finding]:
    """Look at what is kept in the cache, and at the room for more."""
    cache = cache_dir()
    free = shutil.disk_usage(cache).free
    found = f"{free >> 20} MiB free in {cache}"
    if free >= _LAB_DISK:
        yield Finding("disk", Health.OK, found)
    else:
        cost = f"a lab takes up to {_LAB_DISK >> 20} MiB; set XDG_CACHE_HOME to a folder with more room"
        yield Finding("disk", _needed(made.booted), found, cost)
    for name, place, cost, mend in (
        ("tiny guest", made.guest, "the first demo builds it", "xenwire image build"),
        ("lab image", made.lab, "the first lab builds it", "xenwire lab build"),
    ):
        if place:
            yield Finding(name, Health.OK, str(place))
        else:
            yield Finding(name, Health.ABSENT, "not built yet", cost, mend)


def _advised(cost: str, error: XenwireError) -> str:
    return f"{cost}; {error.hint}" if error.hint else cost


def _install(*packages: str) -> str:
    return _as_root(f"apt-get install {shlex.join(packages)}")


def _as_root(command: str) -> str:
    return command if os.geteuid() == 0 else f"sudo {command}"


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
