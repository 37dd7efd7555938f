"""Fetching packages, with scripts in apt's place: what is asked of it, and what comes of its failures."""

import os

import pytest

from xenwire.errors import NotFound, XenwireError
from xenwire.images import debian

DEPENDS = """\
qemu-guest-agent
  Depends: libc6
  Depends: <libglib2.0-0>
    libglib2.0-0t64
libc6
<libglib2.0-0>
libglib2.0-0t64
"""

# Its own lists are empty until updated, whatever the system's are.
APT_CACHE = """
echo "apt-cache $*" >> log
case $* in
    *Dir::State=*) [ -e updated ] || { echo "E: No packages found" >&2; exit 100; } ;;
    *) [ -e lists ] || { echo "E: No packages found" >&2; exit 100; } ;;
esac
case $* in
    *cloud*) printf 'linux-image-cloud-amd64\\n  Depends: linux-image-6.1.0-56-cloud-amd64\\n' ;;
    *) cat depends ;;
esac
"""
APT_GET = """
cd "$APT"
echo "apt-get $*" >> log
[ ! -e offline ] || { echo "W: a warning" >&2; echo "E: Failed to fetch http://deb: no route" >&2; exit 100; }
case $* in
    *update) touch updated ;;
    *) echo dlstatus:1:0.0000:Retrieving file 1 of 4
       cd "$OLDPWD"
       for package; do case $package in -*|download) ;; *) : > ${package}_1_amd64.deb ;; esac; done ;;
esac
"""


@pytest.fixture
def apt(tmp_path, monkeypatch):
    """A folder for apt's stand-ins; files in it steer them."""
    home = tmp_path / "apt"
    home.mkdir()
    for name, script in (("apt-cache", 'cd "$APT"' + APT_CACHE), ("apt-get", APT_GET)):
        (home / name).write_text("#!/bin/sh\n" + script)
        (home / name).chmod(0o755)
    (home / "depends").write_text(DEPENDS)
    monkeypatch.setenv("APT", str(home))
    monkeypatch.setenv("PATH", f"{home}:{os.environ['PATH']}")
    return home


async def fetch(tmp_path, told=None):
    folder, scratch = tmp_path / "packages", tmp_path / "scratch"
    folder.mkdir()
    scratch.mkdir()
    progress = (lambda _: None) if told is None else told.append
    await debian.fetch(["qemu-guest-agent"], "linux-image-cloud-amd64", folder, scratch, progress)
    return sorted(path.name.partition("_")[0] for path in folder.iterdir())


FETCHED = ["libc6", "libglib2.0-0t64", "linux-image-6.1.0-56-cloud-amd64", "qemu-guest-agent"]


async def test_with_the_systems_lists(apt, tmp_path):
    (apt / "lists").touch()
    told = []
    assert await fetch(tmp_path, told) == FETCHED
    assert told == ["looking up packages", "fetching 4 packages"]
    log = (apt / "log").read_text()
    assert "update" not in log
    assert "Dir::State" not in log


async def test_with_lists_of_its_own(apt, tmp_path):
    assert await fetch(tmp_path) == FETCHED
    log = (apt / "log").read_text().splitlines()
    assert f"-oDir::State={tmp_path}/scratch/state" in log[1]
    assert log[1].endswith("update")
    assert all("Dir::State" in line for line in log[1:])
    assert (tmp_path / "scratch/state/lists/partial").is_dir()


async def test_offline(apt, tmp_path):
    (apt / "offline").touch()
    with pytest.raises(XenwireError) as caught:
        await fetch(tmp_path)
    assert caught.value.reason == "apt-get failed: Failed to fetch http://deb: no route"
    assert "network" in caught.value.hint


async def test_a_package_that_is_not_there(apt, tmp_path):
    (apt / "lists").touch()
    (apt / "depends").write_text("libc6\n")
    with pytest.raises(XenwireError) as caught:
        await fetch(tmp_path)
    assert caught.value.reason == "apt knows no package qemu-guest-agent"


async def test_no_apt(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotFound) as caught:
        await fetch(tmp_path)
    assert caught.value.reason == "there is no program apt-cache"
