"""Dom0 and the Debian guest in the cache: keys and files. Making root disks is tested with real packages."""

import gzip
import lzma
import os
import shutil
import struct
import subprocess

import pytest

from xenwire.errors import NotFound, XenwireError
from xenwire.images import (
    Release,
    build_debian_guest,
    build_dom0,
    cache,
    debian_guest,
    dom0_image,
    rootdisk,
    system,
)
from xenwire.images.debian_guest import SYSTEM as DEBIAN_GUEST
from xenwire.images.dom0 import system as dom0_system

pytestmark = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="no dpkg-deb to make packages with")

KERNEL = b"\x7fELF kernel"
XEN = b"\x7fELF Xen"


def bzimage(kernel):
    packed = lzma.compress(kernel) + struct.pack("<I", len(kernel))
    header = bytearray(1024)
    header[0x1F1] = 1
    header[0x202:0x206] = b"HdrS"
    struct.pack_into("<II", header, 0x248, 0, len(packed))
    return bytes(header) + packed


class Build:
    """Stands for the network and for mmdebstrap: small packages, and a disk that says what was installed."""

    def __init__(self, folder):
        self.folder = folder
        self.version = 1
        self.fetches = []
        self.disks = 0
        self.told = []

    async def fetch_system(self, release, packages, apart, kernel, folder, scratch, progress):
        self.fetches.append(release)
        for name in packages:
            self.make(name, folder, {"bin/busybox": b"busybox"} if name == "busybox-static" else {})
        for name in apart:
            self.make(name, folder, {"boot/xen-4.17-amd64.gz": gzip.compress(XEN)})
        modules = "lib/modules/6.1/modules.builtin"
        wanted = {*dom0_system(Release.BOOKWORM).modules, *DEBIAN_GUEST.modules}
        built_in = "".join(f"kernel/{name}.ko\n" for name in sorted(wanted)).encode()
        self.make("linux-image-6.1", folder, {"boot/vmlinuz-6.1": bzimage(KERNEL), modules: built_in})

    def make(self, name, folder, files):
        root = self.folder / name
        control = root / "DEBIAN/control"
        for path, data in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(data)
        control.parent.mkdir(parents=True, exist_ok=True)
        control.write_text(
            f"Package: {name}\nVersion: {self.version}\nArchitecture: all\n"
            "Maintainer: none <none@example.org>\nDescription: none\n"
        )
        argv = ["dpkg-deb", "--build", "-Znone", "--root-owner-group", root, folder]
        subprocess.run(argv, check=True, capture_output=True)

    async def check(self):
        pass

    async def disk(self, disk, work, *, packages, kernel, files, setup, label, **_):
        assert (kernel / "lib/modules/6.1").is_dir()
        self.disks += 1
        self.files = sorted(str(path.relative_to(files)) for path in files.rglob("*") if path.is_file())
        self.setup = setup.read_text()
        self.label = label
        disk.write_text(" ".join(packages))

    def __call__(self, release=Release.BOOKWORM, **options):
        return build_dom0(release, self.told.append, **options)


@pytest.fixture
def images(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/xenwire/images"


@pytest.fixture
def build(images, tmp_path, monkeypatch):
    build = Build(tmp_path / "build")
    monkeypatch.setattr(system.debian, "fetch_system", build.fetch_system)
    monkeypatch.setattr(rootdisk, "check", build.check)
    monkeypatch.setattr(rootdisk, "make", build.disk)
    return build


async def test_built_once(build, images):
    assert dom0_image(Release.BOOKWORM) is None
    image = await build()
    assert image.hypervisor.read_bytes() == XEN
    assert image.kernel.read_bytes() == KERNEL
    assert b"busybox" in image.initrd.read_bytes()
    installed = image.root.read_text().split()
    assert set(installed) == set(dom0_system(Release.BOOKWORM).packages)
    assert "xen-utils-4.17" in installed
    assert (build.files, build.label) == ([], "dom0")
    assert "echo dom0 >/etc/hostname" in build.setup
    assert len(image.packages) == len(installed) + 2  # these two are taken apart
    assert await build() == dom0_image(Release.BOOKWORM) == image
    assert build.fetches == ["bookworm"]
    assert sorted(path.name for path in images.iterdir()) == [image.root.parent.name, "lock", "packages"]


async def test_releases_side_by_side(build, images):
    bookworm, trixie = await build(), await build(Release.TRIXIE)
    assert build.fetches == ["bookworm", "trixie"]
    assert "xen-utils-4.20" in trixie.root.read_text()
    assert bookworm.key != trixie.key
    assert dom0_image(Release.BOOKWORM) == bookworm


async def test_newer_packages(build):
    first = await build()
    build.version = 2
    assert await build() == first
    second = await build(force=True)
    assert second.key != first.key
    assert first.root.is_file()


async def test_the_debian_guest(build, images):
    assert debian_guest() is None
    image = await build_debian_guest(build.told.append)
    assert image.kernel.read_bytes() == KERNEL
    assert image.bzimage.read_bytes() == bzimage(KERNEL)
    assert b"busybox" in image.ramdisk.read_bytes()
    assert set(image.disk.read_text().split()) == set(DEBIAN_GUEST.packages)
    assert f"root=LABEL={build.label} " in image.cmdline
    assert "etc/udev/rules.d/60-xenwire-channels.rules" in build.files
    assert "echo debian >/etc/hostname" in build.setup
    assert await build_debian_guest(build.told.append) == debian_guest() == image
    image.bzimage.unlink()
    assert debian_guest() is None


async def test_what_goes_into_one_image_does_not_change_another(build, tmp_path, monkeypatch):
    dom0, guest = await build(), await build_debian_guest(build.told.append)
    changed = tmp_path / "source"
    resource_files = cache.resources.files
    shutil.copytree(resource_files("xenwire.images"), changed)
    monkeypatch.setattr(
        cache.resources, "files", lambda name: changed if name == "xenwire.images" else resource_files(name)
    )
    with (changed / "debian-guest-setup.sh").open("a") as script:
        script.write("# changed\n")
    assert dom0_image(Release.BOOKWORM) == dom0
    assert debian_guest() is None
    assert (await build_debian_guest(build.told.append)).key != guest.key
    monkeypatch.setattr(system.guestfiles, "read", lambda _name: b"changed")
    assert dom0_image(Release.BOOKWORM) == dom0
    assert debian_guest() is None
    assert (await build_debian_guest(build.told.append)).key != guest.key
    with (changed / "rootdisk.py").open("a") as module:
        module.write("# changed\n")
    assert dom0_image(Release.BOOKWORM) is None
    assert debian_guest() is None


@pytest.mark.parametrize("name", ["hypervisor", "kernel", "initrd", "root"])
async def test_what_is_gone_is_made_again(build, name):
    image = await build()
    path = getattr(image, name)
    path.unlink()
    assert dom0_image(Release.BOOKWORM) is None
    assert await build() == image
    assert path.is_file()
    assert build.fetches == ["bookworm"]


async def test_no_room(build, monkeypatch):
    monkeypatch.setattr(system, "_ROOM", 1 << 60)
    with pytest.raises(XenwireError, match="MiB free"):
        await build()
    assert build.fetches == []


async def test_tools_are_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(rootdisk.shutil, "which", lambda name, path: None)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(NotFound) as caught:
        await rootdisk.check()
    assert caught.value.reason == "there is no program mmdebstrap, mkfs.ext4"
    assert caught.value.hint == "apt-get install mmdebstrap e2fsprogs"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(NotFound) as caught:
        await rootdisk.check()
    assert caught.value.hint == "apt-get install mmdebstrap e2fsprogs uidmap"
