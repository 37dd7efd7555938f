"""The files for a guest. The script `xenwire-seed` runs here with a terminal for a channel, as over Xen."""

import os
import re
import shutil
import subprocess
import threading

import pytest

from xenwire import guestfiles
from xenwire.seed import pack

pytestmark = pytest.mark.skipif(shutil.which("stty") is None, reason="no stty")

FILES = {"meta-data": b"instance-id: one\n", "user-data": bytes(range(256)) * 40}
SYSTEMCTL = """\
#!/bin/sh
cd {root}
echo "$@" >>calls
case $1 in
daemon-reload) [ -e off ] || [ -e run/.ds-identify.result ] || : >run/enabled ;;
--quiet) [ "$3" = NetworkManager ] ;;
esac
"""
"""Stands for systemd, and cloud-init's generator."""


class Guest:
    """A folder that stands for the guest's file system, and a terminal for its channel."""

    def __init__(self, root):
        self.root = root
        self.seed = root / "lib/seed/nocloud"
        (root / "run").mkdir()
        (root / "run/.ds-identify.result").write_text("1\n")
        (root / "bin").mkdir()
        (root / "bin/systemctl").write_text(SYSTEMCTL.format(root=root))
        (root / "bin/systemctl").chmod(0o755)
        script = guestfiles.read("xenwire-seed").decode()
        for folder, stand_in in {"/var/lib/cloud": "lib", "/run/cloud-init": "run"}.items():
            assert folder in script
            script = script.replace(folder, f"{root}/{stand_in}")
        (root / "script").write_text(script)

    def run(self, *answers):
        """Run the script. `answers`: what the host says to its request, and before it hangs up."""
        host, terminal = os.openpty()
        said = bytearray()

        def talk():
            said.extend(os.read(host, 100))
            for answer in answers:
                os.write(host, answer)
            while b"done\n" not in said:
                try:
                    said.extend(os.read(host, 100))
                except OSError:
                    break

        talking = threading.Thread(target=talk)
        talking.start()
        ended = subprocess.run(
            ["sh", self.root / "script", os.ttyname(terminal)],
            env={**os.environ, "PATH": f"{self.root}/bin:{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        os.close(terminal)
        talking.join()
        os.close(host)
        self.said = bytes(said)
        return ended

    def calls(self):
        return (self.root / "calls").read_text().splitlines()

    def has(self):
        return {path.name: path.read_bytes() for path in self.seed.iterdir()}


@pytest.fixture
def guest(tmp_path):
    return Guest(tmp_path)


def answer(files=FILES):
    seed = pack(files)
    return b"%d\n" % len(seed) + seed


def test_it_fetches_a_seed(guest):
    ended = guest.run(answer())
    assert (ended.returncode, ended.stderr) == (0, "")
    assert guest.said == b"seed 1\ndone\n"
    assert guest.has() == FILES
    assert guest.calls() == ["daemon-reload", "start --no-block cloud-init.target"]
    assert [path.name for path in guest.seed.parent.iterdir()] == ["nocloud"]
    assert guest.seed.stat().st_mode & 0o77 == 0


def test_a_network_that_runs_already(guest):
    assert guest.run(answer({**FILES, "network-config": b"version: 2\n"})).returncode == 0
    calls = [call for call in guest.calls() if "is-active" not in call]
    assert calls[1:] == [
        "start --no-block cloud-init.target",
        "start cloud-init-local.service",
        "restart NetworkManager",
    ]


def test_what_was_left_half_made_makes_way(guest):
    for folder in (guest.seed, guest.seed.with_name(".xenwire") / "nocloud"):
        folder.mkdir(parents=True)
        (folder / "old").write_text("old")
    assert guest.run(answer()).returncode == 0
    assert guest.has() == FILES


def test_cloud_init_is_switched_off(guest):
    (guest.root / "off").touch()
    ended = guest.run(answer())
    assert ended.returncode == 1 and "switched off" in ended.stderr
    assert guest.calls() == ["daemon-reload"]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"\n", "no length"),
        (b"-1\n", "no length"),
        (b"12x\n", "no length"),
        (b"99999999\n", "no length"),
        (b"1048577\n", "too large"),
        (b"10\n0123456789", ""),  # tar's own words
        (b"0\n", ""),
    ],
)
def test_a_host_that_talks_nonsense(guest, said, reason):
    ended = guest.run(said)
    assert ended.returncode != 0 and reason in ended.stderr
    assert guest.said == b"seed 1\n"
    assert not guest.seed.exists()
    assert not (guest.root / "calls").exists()


def test_the_files_are_those_of_the_package():
    names = {entry.name for entry in guestfiles.resources.files(guestfiles).iterdir() if entry.is_file()}
    assert names - {"__init__.py"} == set(guestfiles.PLACES)


@pytest.mark.parametrize("name", [name for name in guestfiles.PLACES if name.endswith(".service")])
def test_what_a_unit_starts_is_there(name):
    for path in re.findall(r"/usr/local/[\w/-]+", guestfiles.read(name).decode()):
        folder, _, program = path[1:].rpartition("/")
        assert guestfiles.PLACES[program] == folder
