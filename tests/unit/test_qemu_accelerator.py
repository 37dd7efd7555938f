"""Whether KVM is used, with a script in QEMU's place that counts how often it is tried."""

import json
import os

import pytest

from xenwire.errors import UsageError
from xenwire.qemu import accelerator as module
from xenwire.qemu.accelerator import accelerator, kvm_works

BOOTS = "exit 33"


class Qemu:
    """A program named by $XENWIRE_QEMU, on a machine with a /dev/kvm that opens."""

    def __init__(self, folder):
        self.path = folder / "qemu"
        self.log = folder / "log"
        self.does(BOOTS)

    def does(self, script):
        new = self.path.with_name("new")
        new.write_text(f'#!/bin/sh\necho "$*" >>{self.log}\n{script}\n')
        new.chmod(0o755)
        new.replace(self.path)  # another file, as an upgrade brings it

    @property
    def tries(self):
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def qemu(tmp_path, monkeypatch):
    qemu = Qemu(tmp_path)
    (tmp_path / "kvm").touch()
    (tmp_path / "boot_id").write_text("first\n")
    monkeypatch.setattr(module, "KVM", tmp_path / "kvm")
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nflags\t\t: fpu vmx smx\n")
    monkeypatch.setattr(module, "_BOOT_ID", tmp_path / "boot_id")
    monkeypatch.setattr(module, "_CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setenv("XENWIRE_QEMU", str(qemu.path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("XENWIRE_ACCEL", raising=False)
    return qemu


async def test_kvm_where_a_guest_runs(qemu):
    assert await accelerator() == "kvm"
    assert qemu.tries[0].startswith("-accel kvm ")


async def test_tcg_at_once_where_the_processor_cannot(qemu, tmp_path):
    (tmp_path / "cpuinfo").write_text("flags\t\t: fpu vmxnet\n")
    assert await accelerator() == "tcg"
    assert qemu.tries == []


@pytest.mark.parametrize("script", ["exit 0", "exit 1", "kill -9 $$"])
async def test_tcg_where_none_runs(qemu, script):
    qemu.does(script)
    assert await accelerator() == "tcg"
    assert await accelerator() == "tcg"
    assert len(qemu.tries) == 1


async def test_tcg_where_one_never_gets_going(qemu, monkeypatch):
    monkeypatch.setattr(module, "_TRY_SECONDS", 0.2)
    qemu.does("exec sleep 600")
    assert await accelerator() == "tcg"


async def test_it_is_tried_once(qemu):
    for _ in range(3):
        assert await kvm_works()
    assert len(qemu.tries) == 1


async def test_it_is_tried_again_after_a_boot(qemu, tmp_path):
    assert await kvm_works()
    qemu.does("exit 1")
    (tmp_path / "boot_id").write_text("second\n")
    assert not await kvm_works()
    (known,) = json.loads((tmp_path / "cache/xenwire/kvm.json").read_text())["works"].values()
    assert known is False


async def test_another_program_is_tried_too(qemu):
    assert await kvm_works()
    qemu.does("exit 1")
    assert not await kvm_works()
    assert len(qemu.tries) == 2


async def test_it_is_tried_anew_when_asked(qemu):
    assert await kvm_works()
    assert await kvm_works(anew=True)
    assert len(qemu.tries) == 2


@pytest.mark.parametrize("spoilt", ["", "{", "[]", '{"works": 1}'])
async def test_a_memory_that_is_spoilt(qemu, tmp_path, spoilt):
    (tmp_path / "cache/xenwire").mkdir(parents=True)
    (tmp_path / "cache/xenwire/kvm.json").write_text(spoilt)
    assert await kvm_works()
    assert await kvm_works()
    assert len(qemu.tries) == 1


async def test_a_cache_that_cannot_be_written(qemu, tmp_path, monkeypatch, caplog):
    def full(*_):
        raise OSError("no space")

    monkeypatch.setattr(module, "write_atomic", full)
    assert await kvm_works()
    assert "cannot remember whether KVM works: no space" in caplog.text


async def test_nothing_is_tried_without_kvm(qemu, tmp_path):
    (tmp_path / "kvm").unlink()
    assert await accelerator() == "tcg"
    assert qemu.tries == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything")
async def test_nothing_is_tried_where_kvm_may_not_be_opened(qemu, tmp_path):
    (tmp_path / "kvm").chmod(0)
    assert await accelerator() == "tcg"
    assert qemu.tries == []


async def test_no_qemu(qemu):
    qemu.path.unlink()
    assert await accelerator() == "tcg"


@pytest.mark.parametrize("name", ["kvm", "tcg"])
async def test_the_environment_decides(qemu, monkeypatch, name):
    monkeypatch.setenv("XENWIRE_ACCEL", name)
    assert await accelerator() == name
    assert qemu.tries == []


async def test_another_accelerator_is_refused(qemu, monkeypatch):
    monkeypatch.setenv("XENWIRE_ACCEL", "hax")
    with pytest.raises(UsageError, match="hax"):
        await accelerator()
