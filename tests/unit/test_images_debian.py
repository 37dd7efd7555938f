"""Fetching packages, with scripts in apt's place: what is asked of it, and what comes of its failures."""

import os

import pytest

from xenwire.errors import NotFound, XenwireError
from xenwire.images import debian, mirrors

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
    *linux-image-amd64) printf 'linux-image-amd64\\n  Depends: linux-image-6.12.1+deb13-amd64\\n' ;;
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
    *indextargets*) echo "Debian main bookworm http://mirror/debian/" ;;
    *--simulate*) printf 'Inst libc6 (2.41-12 Debian:13/stable [amd64]) []\\nConf libc6 (2.41-12)\\n'
       printf 'Inst python3.13 (3.13.5-2 Debian:13/stable [amd64])\\n' ;;
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


async def fetch_system(tmp_path):
    folder, scratch = tmp_path / "packages", tmp_path / "scratch"
    folder.mkdir()
    scratch.mkdir()
    apart = ["xen-hypervisor-4.20-amd64"]
    await debian.fetch_system(
        "trixie", ["python3"], apart, "linux-image-amd64", folder, scratch, lambda _: None
    )
    return sorted(path.name.partition("_")[0] for path in folder.iterdir())


async def test_a_system_of_another_release(apt, tmp_path, monkeypatch):
    keyring = tmp_path / "keyring.gpg"
    keyring.touch()
    monkeypatch.setattr(debian, "_KEYRING", keyring)
    fetched = await fetch_system(tmp_path)
    assert fetched == ["libc6", "linux-image-6.12.1+deb13-amd64", "python3.13", "xen-hypervisor-4.20-amd64"]
    line = f"deb [signed-by={keyring}] http://mirror/debian/ trixie main\n"
    assert (tmp_path / "scratch/sources.list").read_text() == line
    _, *lines = (apt / "log").read_text().splitlines()  # the first asks for the system's mirrors
    assert len(lines) == 4
    for option in ("Dir::State", "Dir::State::status", "Dir::Etc::sourcelist"):
        assert all(f"-o{option}={tmp_path}/scratch" in line for line in lines)
    assert "?essential python3" in "".join(lines)


async def test_no_keys(apt, tmp_path, monkeypatch):
    monkeypatch.setattr(debian, "_KEYRING", tmp_path / "keyring.gpg")
    with pytest.raises(NotFound) as caught:
        await fetch_system(tmp_path)
    assert caught.value.hint == "apt-get install debian-archive-keyring"
    assert not (apt / "log").exists()


TARGETS = """\
$(ORIGIN) main bookworm https://packages.example.org/debian/
Vendor main bookworm http://vendor/
Debian contrib bookworm http://contrib/debian/
Debian main bookworm http://mirror/debian/
Debian main bookworm http://second/debian/
Debian main bookworm-updates http://mirror/debian/
Debian main bookworm-security http://mirror/debian-security/
Debian main bookworm-proposed-updates http://mirror/debian/
Debian Backports main bookworm-backports http://mirror/debian/
"""


def test_the_systems_mirrors():
    found = mirrors.found(TARGETS)
    assert found == {
        "": "http://mirror/debian/",
        "-updates": "http://mirror/debian/",
        "-security": "http://mirror/debian-security/",
    }
    assert mirrors.sources("trixie", found) == (
        "deb http://mirror/debian/ trixie main\n"
        "deb http://mirror/debian/ trixie-updates main\n"
        "deb http://mirror/debian-security/ trixie-security main\n"
    )


@pytest.mark.parametrize("targets", ["", "Ubuntu main noble http://archive.ubuntu.com/ubuntu/\n"])
def test_a_system_without_mirrors_of_debian(targets):
    assert mirrors.sources("bookworm", mirrors.found(targets)).startswith(
        "deb http://deb.debian.org/debian bookworm main\n"
    )
