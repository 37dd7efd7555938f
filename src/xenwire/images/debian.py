"""Fetching Debian packages with apt, without root and without changing anything of the system.

Mirrors and keys are those of the system's apt configuration, and apt checks what it fetches. Single programs
are of the system's release; a whole system may be of another.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Self

from xenwire.errors import NotFound, XenwireError
from xenwire.images import _tool, mirrors

__all__ = ["Apt", "Progress", "fetch", "fetch_system", "unpack"]

Progress = Callable[[str], None]
"""Is told of each phase as it starts."""

_PACKAGE: Final = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_KERNEL: Final = re.compile(r" *Depends: (linux-image-[a-z0-9+.-]+)")
_INSTALLED: Final = re.compile(r"Inst ([a-z0-9][a-z0-9+.-]+) .*")
_KEYRING: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_NETWORK: Final = "check the network, and that `apt-get update` works; the packages are Debian's"
_REPORT_EVERY: Final = 2.0  # seconds


async def fetch(
    packages: Sequence[str], kernel: str, folder: Path, scratch: Path, progress: Progress
) -> None:
    """Put the .deb files of `packages`, of all that they need to run, and of a kernel into `folder`.

    `kernel` is the package that depends on the current kernel's. Both folders are empty; in `scratch` apt
    gets lists of its own if the system's do not serve: a container has none, and old ones name what is gone.

    Raises NotFound where there is no apt, XenwireError with apt's words if it cannot fetch them.
    """
    apt = Apt()
    try:
        await apt.fetch(packages, kernel, folder, progress)
    except NotFound:
        raise
    except XenwireError:
        apt = Apt.private(scratch)
        complaint = None
        try:
            await apt.update(progress)
        except XenwireError as error:
            complaint = error  # perhaps about a source that has none of our packages
        try:
            await apt.fetch(packages, kernel, folder, progress)
        except XenwireError as error:
            error = complaint or error
            error.hint = _NETWORK
            raise error from None


async def fetch_system(
    release: str,
    packages: Sequence[str],
    apart: Sequence[str],
    kernel: str,
    folder: Path,
    scratch: Path,
    progress: Progress,
) -> None:
    """Put the .deb files of a system that does not exist yet into `folder`.

    That is what every Debian system has, `packages`, and all that these depend on; and, themselves only, the
    packages `apart` and the kernel that `kernel` depends on now. `release` is a code name. Both folders are
    empty; in `scratch` apt gets lists of its own.

    Raises NotFound where there is no apt or no keys of Debian's, XenwireError with apt's words if it cannot
    fetch and verify them.
    """
    if not _KEYRING.exists():
        raise NotFound(
            "cannot build the image",
            reason=f"Debian's keys are not in {_KEYRING}",
            hint="apt-get install debian-archive-keyring",
        )
    sources = mirrors.sources(release, await Apt().mirrors(), _KEYRING)
    apt = Apt.private(scratch).of_another_system(scratch, sources)
    try:
        await apt.update(progress)
        progress("looking up packages")
        names = [*await apt.system(packages), *apart, await apt.current_kernel(kernel)]
        progress(f"fetching {len(names)} packages")
        await apt.download(names, folder, progress)
    except NotFound:
        raise
    except XenwireError as error:
        unknown_key = "not signed" in (error.reason or "")
        error.hint = "apt-get install debian-archive-keyring, for newer keys" if unknown_key else _NETWORK
        raise


async def unpack(package: Path, folder: Path) -> None:
    """Take a .deb file apart into `folder`, without installing it. Raises NotFound, XenwireError."""
    await _tool.run(["dpkg-deb", "--extract", package, folder])


class Apt:
    """apt, with the system's configuration and lists of packages."""

    def __init__(self, *options: str) -> None:
        self._options = (
            "-qq",
            "-oAPT::Sandbox::User=root",  # else apt, run by root, warns that _apt may not write here
            "-oAcquire::Retries=1",
            "-oAcquire::http::Timeout=30",
            "-oAcquire::https::Timeout=30",
            *options,
        )

    @classmethod
    def private(cls, folder: Path) -> Apt:
        """Give apt with lists of its own in `folder`, at first empty."""
        (folder / "state/lists/partial").mkdir(parents=True)
        (folder / "cache/archives/partial").mkdir(parents=True)
        return cls(f"-oDir::State={folder / 'state'}", f"-oDir::Cache={folder / 'cache'}")

    def of_another_system(self, folder: Path, sources: str) -> Self:
        """Give this apt for a system in which nothing is installed, with these sources and no preferences."""
        (folder / "sources.list").write_text(sources)
        (folder / "status").touch()
        nothing = "/dev/null"
        return type(self)(
            *self._options,
            f"-oDir::State::status={folder / 'status'}",
            f"-oDir::Etc::sourcelist={folder / 'sources.list'}",
            f"-oDir::Etc::sourceparts={nothing}",
            f"-oDir::Etc::preferences={nothing}",
            f"-oDir::Etc::preferencesparts={nothing}",
            "-oAPT::Architecture=amd64",
            "-oAPT::Architectures=amd64",
            "-oAPT::Default-Release=",
            "-oAPT::Install-Recommends=false",
        )

    async def mirrors(self) -> dict[str, str]:
        """Give Debian's mirrors that are set up and whose lists are here: see `mirrors.found`."""
        argv = ["apt-get", *self._options, "indextargets", "--format", mirrors.FORMAT, "Created-By: Packages"]
        return mirrors.found((await _tool.run(argv)).decode())

    async def update(self, progress: Progress) -> None:
        """Fetch the lists of packages. Raises XenwireError if a source fails; the others' are there."""
        progress("fetching lists of packages")
        await _tool.run(["apt-get", *self._options, "-oAPT::Update::Error-Mode=any", "update"])

    async def fetch(self, packages: Sequence[str], kernel: str, folder: Path, progress: Progress) -> None:
        """Do what `fetch` does, with these lists. Raises NotFound, XenwireError."""
        progress("looking up packages")
        names = sorted({await self.current_kernel(kernel), *await self.needed(packages)})
        progress(f"fetching {len(names)} packages")
        await self.download(names, folder, progress)

    async def current_kernel(self, package: str) -> str:
        """Give the kernel package that `package`, such as linux-image-cloud-amd64, depends on now."""
        for line in await self._depends(package):
            if match := _KERNEL.fullmatch(line):
                return match[1]
        raise XenwireError("cannot build the image", reason=f"the package {package} depends on no kernel")

    async def needed(self, packages: Sequence[str]) -> list[str]:
        """Give `packages` and all they depend on. Pre-dependencies serve installing, and are left out."""
        # A package starts its line. What it depends on is indented, a virtual package in angle brackets.
        lines = await self._depends("--recurse", "--no-pre-depends", *packages)
        names = [line for line in lines if _PACKAGE.fullmatch(line)]
        for unknown in set(packages).difference(names):
            raise XenwireError("cannot build the image", reason=f"apt knows no package {unknown}")
        return names

    async def system(self, packages: Sequence[str]) -> list[str]:
        """Give what would be installed: the essential packages, `packages`, and all they depend on."""
        argv = ["apt-get", *self._options, "--simulate", "install", "?essential", *packages]
        lines = (await _tool.run(argv)).decode().splitlines()
        return [match[1] for line in lines if (match := _INSTALLED.fullmatch(line))]

    async def _depends(self, *arguments: str) -> list[str]:
        argv = ["apt-cache", *self._options, "depends", "--important", *arguments]
        return (await _tool.run(argv)).decode().splitlines()

    async def download(self, names: Sequence[str], folder: Path, progress: Progress) -> None:
        """Download into `folder`. It is empty, for apt trusts a file of the right size that is there."""
        reported = time.monotonic()

        def report(line: str) -> None:
            nonlocal reported
            match line.split(":", 3):  # apt: README.progress-reporting
                case ["dlstatus", _, percent, text] if time.monotonic() - reported >= _REPORT_EVERY:
                    reported = time.monotonic()
                    progress(f"fetching packages, {float(percent):.0f} %: {text}")

        argv = ["apt-get", *self._options, "-oAPT::Status-Fd=1", "download", *names]
        await _tool.follow(argv, report, cwd=folder)
