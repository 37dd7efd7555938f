"""Images kept in the cache: built once, whole or not there. Small packages stand for Debian's."""

import asyncio
import errno
import os
import shutil
import subprocess
import time

import pytest

from xenwire.errors import XenwireError
from xenwire.images import build_tiny_guest, cache, guest, tiny_guest

pytestmark = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="no dpkg-deb to make packages with")


class Build:
    """What stands for the network and for the contents of the guest."""

    def __init__(self, folder):
        self.folder = folder
        self.version = 1
        self.fetches = 0
        self.told = []
        self.reached = asyncio.Event()
        self.go_on = asyncio.Event()
        self.waiting = asyncio.Event()
        self.go_on.set()

    async def fetch(self, packages, kernel, folder, scratch, progress):
        progress("fetching")
        self.fetches += 1
        for name in (*packages, kernel):
            self.make(name, folder)

    def make(self, name, folder):
        control = self.folder / name / "DEBIAN/control"
        control.parent.mkdir(parents=True, exist_ok=True)
        control.write_text(
            f"Package: {name}\nVersion: {self.version}\nArchitecture: all\n"
            "Maintainer: none <none@example.org>\nDescription: none\n"
        )
        argv = ["dpkg-deb", "--build", "-Znone", "--root-owner-group", self.folder / name, folder]
        subprocess.run(argv, check=True, capture_output=True)

    async def kernel(self, sysroot):
        self.reached.set()
        await self.go_on.wait()
        return b"kernel"

    def bzimage(self, sysroot):
        return b"bzimage"

    async def ramdisk(self, sysroot):
        return b"ramdisk"

    def __call__(self, **options):
        return build_tiny_guest(self.progress, **options)

    def progress(self, text):
        self.told.append(text)
        if text == "waiting for another build":
            self.waiting.set()


@pytest.fixture
def images(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache/xenwire/images"


@pytest.fixture
async def build(images, tmp_path, monkeypatch):
    build = Build(tmp_path / "build")
    monkeypatch.setattr(guest.debian, "fetch", build.fetch)
    monkeypatch.setattr(guest, "kernel", build.kernel)
    monkeypatch.setattr(guest, "bzimage", build.bzimage)
    monkeypatch.setattr(guest, "ramdisk", build.ramdisk)
    return build


def contents(images):
    return sorted(path.name for path in images.iterdir())


async def test_built_once(build, images):
    assert tiny_guest() is None
    image = await build()
    assert image.kernel.read_bytes() == b"kernel"
    assert image.bzimage.read_bytes() == b"bzimage"
    assert image.ramdisk.read_bytes() == b"ramdisk"
    assert image.packages == tuple(sorted(f"{name}_1_all.deb" for name in (*guest.PACKAGES, guest.KERNEL)))
    assert contents(images) == ["lock", "packages", f"tiny-guest-{image.key}"]
    assert build.told == ["fetching", "unpacking packages", "making kernel and ramdisk"]
    assert await build() == tiny_guest() == image
    assert build.fetches == 1


async def test_the_key_tells_what_went_in(build, images, monkeypatch):
    first = await build()
    build.version = 2
    assert await build() == first
    second = await build(force=True)
    assert second.key != first.key
    assert first.kernel.exists()  # somebody may have it in a configuration
    assert contents(images / "packages") == sorted([*second.packages, "tiny-guest.list"])
    assert await build(force=True) == second
    assert build.fetches == 3


async def test_the_key_tells_who_built_it(build, images, monkeypatch, tmp_path):
    first = await build()
    changed = tmp_path / "source"
    shutil.copytree(cache.resources.files("xenwire.images"), changed)
    with (changed / "guest-init.sh").open("a") as script:
        script.write("# changed\n")
    monkeypatch.setattr(cache.resources, "files", lambda _package: changed)
    second = await build()
    assert second.key != first.key
    assert build.fetches == 1  # the packages are at hand


async def test_packages_that_are_gone_are_fetched_again(build, images):
    image = await build()
    shutil.rmtree(images / "packages")
    assert await build() == image  # needs none
    image.kernel.unlink()
    assert await build() == image
    assert build.fetches == 2


async def test_images_share_packages(build, images, tmp_path):
    """What another image's list names stays, whoever fetched it."""
    first = await build()
    fetched = tmp_path / "fetched"
    fetched.mkdir()
    build.make("other", fetched)
    build.make(guest.PACKAGES[0], fetched)
    shared, other = sorted(cache.Cache().keep("another", fetched), key=lambda name: name.startswith("other"))
    assert shared in first.packages
    build.version = 2
    second = await build(force=True)
    assert contents(images / "packages") == sorted(
        [shared, other, *second.packages, "another.list", "tiny-guest.list"]
    )


async def test_a_newer_xenwire_needs_another_package(build, images, monkeypatch):
    await build()
    monkeypatch.setattr(guest, "PACKAGES", (*guest.PACKAGES, "one-more"))
    image = await build()
    assert "one-more_1_all.deb" in image.packages


async def test_two_at_once(build, images):
    build.go_on.clear()
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(build())
        await build.reached.wait()
        second = tasks.create_task(build())
        await build.waiting.wait()
        build.go_on.set()
    assert first.result() == second.result()
    assert build.fetches == 1


async def test_interrupted(build, images):
    build.go_on.clear()
    task = asyncio.create_task(build())
    await build.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert tiny_guest() is None
    assert contents(images) == ["lock", "packages"]
    build.go_on.set()
    assert (await build()).kernel.exists()
    assert build.fetches == 1


async def test_killed(build, images):
    (images / ".work-killed/root").mkdir(parents=True)
    await build()
    assert not (images / ".work-killed").exists()


async def test_old_images_go(build, images):
    old, young = images / "tiny-guest-old", images / "tiny-guest-young"
    old.mkdir(parents=True)
    young.mkdir()
    long_ago = time.time() - 31 * 24 * 3600
    os.utime(old, (long_ago, long_ago))
    await build()
    assert not old.exists()
    assert young.exists()


async def test_no_room(build, images, monkeypatch):
    monkeypatch.setattr(guest, "_ROOM", 1 << 60)
    with pytest.raises(XenwireError) as caught:
        await build()
    assert "MiB free" in caught.value.reason
    assert "XDG_CACHE_HOME" in caught.value.hint


async def test_disk_full_halfway(build, images, monkeypatch):
    async def full(_sysroot):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "ramdisk")

    monkeypatch.setattr(guest, "ramdisk", full)
    with pytest.raises(XenwireError) as caught:
        await build()
    assert caught.value.reason == "ramdisk: No space left on device"
    assert contents(images) == ["lock", "packages"]


async def test_another_architecture(build, monkeypatch):
    uname = os.uname()
    monkeypatch.setattr(os, "uname", lambda: os.uname_result((*uname[:4], "aarch64")))
    with pytest.raises(XenwireError) as caught:
        await build()
    assert caught.value.reason == "this host is aarch64"
