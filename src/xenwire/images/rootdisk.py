"""Making a root disk of Debian packages with mmdebstrap and mkfs.ext4, by root or by an ordinary user.

The work is done in namespaces of its own (mounts, network, processes; for a user also a user namespace, in
which files can have any owner): `rootdisk-make.sh` in them sees no network, mounts nothing that others see,
and ends with the process that started it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Final

from xenwire.errors import NotFound, XenwireError
from xenwire.images import _tool
from xenwire.images.debian import Progress

__all__ = ["check", "make"]

_TOOLS: Final = {"mmdebstrap": "mmdebstrap", "mkfs.ext4": "e2fsprogs"}
_USER_TOOLS: Final = {"newuidmap": "uidmap"}
"""Programs, and the packages that have them."""

_PHASE: Final = "phase: "
_SIZE: Final = "2G"  # of the disk; the file has holes where it is empty


async def check() -> None:
    """Raise NotFound if a program is missing, XenwireError if this user cannot have the namespaces.

    NotFound has `packages` in its context, those to install.
    """
    user = os.geteuid() != 0
    tools = _TOOLS | _USER_TOOLS if user else _TOOLS
    places = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    missing = [program for program in tools if shutil.which(program, path=places) is None]
    if missing:
        packages = [tools[program] for program in missing]
        raise NotFound(
            "cannot build the image",
            reason=f"there is no program {', '.join(missing)}",
            hint=f"apt-get install {' '.join(packages)}",
            packages=packages,
        )
    try:
        await _tool.run([*_namespaces(), "mount", "-t", "tmpfs", "probe", "/tmp"])  # noqa: S108  in it only
    except XenwireError as error:
        error.hint = (
            "it needs subordinate ids (usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER) "
            "and a kernel that lets users make namespaces; or build as root"
            if user
            else "a container needs CAP_SYS_ADMIN for it, as `docker run --privileged` gives"
        )
        raise


async def make(
    disk: Path,
    work: Path,
    *,
    source: str,
    packages: Sequence[str],
    kernel: Path,
    sources: str,
    files: Path,
    setup: Path,
    label: str,
    progress: Progress,
) -> None:
    """Make a disk, in a file with holes, with `packages` installed, and a kernel's and other files added.

    `source` is the line of a sources.list that has the packages; `sources` is what the disk's own is to be,
    `kernel` the folder in which the kernel's package has been taken apart. What is in the folder `files` is
    copied, then the script `setup` is run in the new root. Raises XenwireError.
    """
    mounted = work / "mounted"
    mounted.mkdir()
    sources_list = work / "sources.list"
    sources_list.write_text(sources)

    def tell(line: str) -> None:
        if line.startswith(_PHASE):
            progress(line.removeprefix(_PHASE))

    with resources.as_file(resources.files("xenwire.images").joinpath("rootdisk-make.sh")) as script:
        argv = [*_namespaces(), "sh", script, mounted, source, ",".join(packages), kernel, sources_list]
        # No grace: all that it made but the disk is gone with the namespaces.
        await _tool.follow([*argv, files, setup, disk, _SIZE, label], tell, cwd=work, grace=0)


def _namespaces() -> list[str | Path]:
    user: list[str | Path] = [] if os.geteuid() == 0 else ["--user", "--map-root-user", "--map-auto"]
    return ["unshare", *user, "--mount", "--net", "--pid", "--fork", "--kill-child"]
