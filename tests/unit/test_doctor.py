"""Machines with something missing: a PATH of the test's own, unusable folders, programs that fail."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from xenwire import doctor
from xenwire.cli import run
from xenwire.doctor import Health, examine
from xenwire.images import Release, dom0, guest
from xenwire.images.cache import Cache

QEMU = """#!{python}
import json, re, socket, sys
if "-accel" in sys.argv:
    sys.exit({status})
monitor = socket.socket(fileno=int(re.search("fd=([0-9]+)", sys.argv[2])[1])).makefile("rw")
def say(answer):
    print(json.dumps(answer), file=monitor, flush=True)
version = {{"qemu": {{"major": {major}, "minor": 1, "micro": 0}}, "package": ""}}
say({{"QMP": {{"version": version, "capabilities": []}}}})
for line in monitor:
    request = json.loads(line)
    say({{"return": [] if "q" in request["execute"][:4] else {{}}, "id": request.get("id")}})
    if request["execute"] == "quit":
        break
"""
"""Boots, or does not, and has a version; more is not looked at."""

EVERYTHING = ("setpriv", "unshare", "mount", "mmdebstrap", "xenstore-ls", "qemu-img", "apt-get", "dpkg-deb")


class Machine:
    """A machine that has what is in its folder."""

    def __init__(self, folder):
        self.programs = folder / "bin"
        self.cache = folder / "cache"
        self.programs.mkdir()
        for name in EVERYTHING:
            self.install(name, "#!/bin/sh\n")
        (self.programs / "setpriv").unlink()
        (self.programs / "setpriv").symlink_to(shutil.which("setpriv"))
        self.install_qemu()

    def install(self, name, script):
        (self.programs / name).write_text(script)
        (self.programs / name).chmod(0o755)

    def install_qemu(self, major=8, status=33):
        self.install("qemu-system-x86_64", QEMU.format(python=sys.executable, major=major, status=status))

    def remove(self, *names):
        for name in names:
            (self.programs / name).unlink()

    def build(self):
        """Stand for what a lab and the demo have built."""
        packages = Cache().packages
        packages.mkdir(parents=True)
        system = dom0.system(Release.BOOKWORM)
        for made, name, wanted, files in (
            (lambda names: system.built(Cache(), names).folder, system.name, system.packages,
             ("hypervisor", "kernel", "initrd", "root")),
            (lambda names: guest._image(Cache(), names).kernel.parent, "tiny-guest", guest.PACKAGES,
             ("kernel", "bzimage", "ramdisk")),
        ):  # fmt: skip
            names = tuple(f"{package}_1_all.deb" for package in wanted)
            (packages / f"{name}.list").write_text("\n".join(names))
            folder = made(names)
            folder.mkdir()
            for file in files:
                (folder / file).touch()

    def boot(self):
        """Stand for a lab that has been booted."""
        (self.cache / "xenwire/labs/0123").mkdir(parents=True)
        (self.cache / "xenwire/labs/0123/state").touch()

    async def look(self):
        """Give the findings by name, having seen that every mend is a command."""
        found = {finding.name: finding for finding in await examine()}
        for finding in found.values():
            assert (finding.cost is None) == (finding.health is Health.OK)
            if finding.mend:
                command = finding.mend.removeprefix("sudo ")
                assert command.split()[0] in ("apt-get", "unset", "usermod", "xenwire")
        return found

    async def missing(self):
        return {name for name, finding in (await self.look()).items() if finding.health is Health.MISSING}


@pytest.fixture
def machine(tmp_path, monkeypatch):
    machine = Machine(tmp_path)
    monkeypatch.setenv("PATH", str(machine.programs))
    monkeypatch.setenv("XDG_CACHE_HOME", str(machine.cache))
    monkeypatch.setattr(doctor, "_KEYRING", tmp_path / "keyring")
    monkeypatch.setattr(doctor, "_LAB_DISK", 0)
    (tmp_path / "keyring").touch()
    return machine


def sudo(command):
    return command if os.geteuid() == 0 else f"sudo {command}"


async def test_a_machine_with_everything(machine):
    machine.build()
    found = await machine.look()
    assert found["qemu"].found == f"{machine.programs}/qemu-system-x86_64 8.1.0, runs a guest"
    not_ok = {name for name, finding in found.items() if finding.health is not Health.OK}
    assert not_ok <= {"xen", "kvm", "memory"}


async def test_a_cache_that_cannot_be_used(machine, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/none")
    found = await machine.look()
    assert await machine.missing() <= {"cache", "memory"}
    assert "cannot make the folder /proc/none/xenwire" in found["cache"].found
    assert found["cache"].mend == "unset XDG_CACHE_HOME"
    assert not {"disk", "tiny guest", "lab image"} & found.keys()


async def test_a_run_folder_that_cannot_be_used(machine, monkeypatch, tmp_path):
    tmp_path.joinpath("open").mkdir()
    tmp_path.joinpath("open").chmod(0o777)
    for path, reason in (("/proc/none", "cannot make the folder"), (tmp_path / "open", "nobody else may")):
        monkeypatch.setenv("XENWIRE_RUN", str(path))
        found = await machine.look()
        assert await machine.missing() <= {"run folder", "memory"}
        assert reason in found["run folder"].found
        assert found["run folder"].mend == "unset XENWIRE_RUN"
        assert found["qemu"].health is Health.OK


async def test_without_setpriv(machine):
    machine.remove("setpriv")
    found = await machine.look()
    assert await machine.missing() <= {"setpriv", "memory"}
    assert found["setpriv"].mend == sudo("apt-get install util-linux")
    assert not {"qemu", "kvm", "image builder"} & found.keys()


async def test_no_qemu(machine, monkeypatch):
    machine.remove("qemu-system-x86_64")
    found = await machine.look()
    assert (found["qemu"].health, found["qemu"].found) == (
        Health.MISSING,
        "there is no qemu-system-x86_64 on PATH",
    )
    assert found["qemu"].mend == sudo("apt-get install qemu-system-x86")
    assert "kvm" not in found
    monkeypatch.setenv("XENWIRE_QEMU", "/no/such")
    assert (await machine.look())["qemu"].mend == "unset XENWIRE_QEMU"


@pytest.mark.parametrize(
    ("major", "status", "found", "advice"),
    [
        (6, 33, "is too old: it is QEMU 6.1.0, and 7.0 is needed", "XENWIRE_QEMU"),
        (8, 0, "8.1.0 runs no guest", "no lab"),
    ],
)
async def test_a_qemu_that_does_not_do(machine, major, status, found, advice):
    machine.install_qemu(major, status)
    qemu = (await machine.look())["qemu"]
    assert (qemu.health, qemu.mend) == (Health.MISSING, None)
    assert qemu.found.endswith(found)
    assert advice in qemu.cost


async def test_a_program_that_is_no_qemu(machine):
    machine.install("qemu-system-x86_64", "#!/bin/sh\nexit 7\n")
    qemu = (await machine.look())["qemu"]
    assert "exited with status 7" in qemu.found
    assert "see what it says: " in qemu.cost


async def test_what_builds_is_missing_until_all_is_built(machine, monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "_LAB_DISK", 1 << 60)
    machine.remove("mmdebstrap", "apt-get", "dpkg-deb", "qemu-img")
    (tmp_path / "keyring").unlink()
    builders = {"image builder", "apt-get", "dpkg-deb", "keyring"}
    first_boot = {"disk", "qemu-img"}
    assert await machine.missing() >= builders | first_boot
    machine.build()
    missing = await machine.missing()
    assert missing >= first_boot
    assert not missing & builders
    machine.boot()
    assert await machine.missing() <= {"memory"}
    found = await machine.look()
    assert {found[name].health for name in builders | first_boot} == {Health.ABSENT}
    assert "mmdebstrap" in found["image builder"].found
    assert found["image builder"].mend.startswith(sudo("apt-get install mmdebstrap"))
    assert found["keyring"].mend == sudo("apt-get install debian-archive-keyring")


async def test_namespaces_are_tried(machine):
    machine.install(
        "unshare", "#!/bin/sh\necho 'unshare: unshare failed: Operation not permitted' >&2; exit 1\n"
    )
    found = (await machine.look())["image builder"]
    assert (found.health, found.mend) == (Health.MISSING, None)
    assert found.found == "unshare failed: unshare: unshare failed: Operation not permitted"
    machine.install(
        "unshare", "#!/bin/sh\necho 'unshare: no line matching user \"u\" in /etc/subuid' >&2; exit 1\n"
    )
    found = (await machine.look())["image builder"]
    assert found.mend.startswith(sudo("usermod --add-subuids "))


async def test_too_little_memory(machine, monkeypatch):
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 1 << 18}.get)
    memory = (await machine.look())["memory"]
    assert (memory.health, memory.found) == (Health.MISSING, "1024 MiB")


def test_the_command(machine, capsys):
    machine.remove("xenstore-ls")
    machine.build()
    assert run(["doctor"]) == 1
    table, _, problems = capsys.readouterr().out.partition("\n\n")
    assert max(map(len, table.splitlines())) < 160
    assert table.splitlines()[0].split() == ["NAME", "HEALTH", "FOUND"]
    assert f"xenstore-ls: no demo\n  try: {sudo('apt-get install xenstore-utils')}\n" in problems
    assert run(["doctor", "-o", "wide"]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines()[0].split() == ["NAME", "HEALTH", "FOUND", "COST", "MEND"]
    assert "try: " not in out + err
    assert run(["doctor", "--json"]) == 1
    assert {tuple(finding) for finding in json.loads(capsys.readouterr().out)} == {
        ("name", "health", "found", "cost", "mend")
    }


@pytest.mark.qemu
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may change the user")
def test_an_ordinary_user(short_tmp):
    """The real thing, as a user without subordinate ids."""
    short_tmp.chmod(0o755)
    home = short_tmp / "home"
    home.mkdir()
    shutil.chown(home, "nobody", "nogroup")
    python = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups", "--", sys.executable]
    if subprocess.run([*python, "-c", "import xenwire.cli"], check=False).returncode:
        pytest.skip("this Python is for root only")
    done = subprocess.run(
        [*python, "-m", "xenwire", "doctor", "--json"],
        env={"PATH": os.environ["PATH"], "XENWIRE_RUN": str(home / "run"), "XDG_CACHE_HOME": str(home)},
        stdout=subprocess.PIPE,
        check=False,
    )
    assert done.returncode == 1
    found = {finding["name"]: finding for finding in json.loads(done.stdout)}
    assert found["qemu"]["health"] == "ok"
    assert found["image builder"]["health"] == "missing"
    assert found["image builder"]["mend"].startswith("sudo ")


@pytest.mark.qemu
async def test_this_machine(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = {finding.name: finding for finding in await examine()}
    assert found["qemu"].health is Health.OK
    assert found["kvm"].health is not Health.MISSING
    assert found["image builder"].found
