import pytest

from xenwire.errors import NotFound, XenwireError
from xenwire.qemu.capabilities import probe
from xenwire.qemu.program import find_qemu


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A PATH of one folder with a qemu-system-x86_64 and another program."""
    for name in ("qemu-system-x86_64", "other-qemu"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 7\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("XENWIRE_QEMU", raising=False)
    return tmp_path


def test_qemu_is_found_on_path(folder):
    assert find_qemu() == folder / "qemu-system-x86_64"


def test_the_environment_names_another(folder, monkeypatch):
    monkeypatch.setenv("XENWIRE_QEMU", "other-qemu")
    assert find_qemu() == folder / "other-qemu"
    assert find_qemu("qemu-system-x86_64") == folder / "qemu-system-x86_64"


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ("no-such-qemu", "there is no no-such-qemu on PATH"),
        ("/no/such/qemu", "/no/such/qemu is no program"),
        ("/etc/passwd", "/etc/passwd is no program"),
    ],
)
def test_a_missing_qemu_is_told_with_its_mend(folder, wanted, reason):
    with pytest.raises(NotFound) as caught:
        find_qemu(wanted)
    assert str(caught.value) == f"cannot find QEMU: {reason}"
    assert caught.value.hint == "apt-get install qemu-system-x86"


async def test_a_probe_that_fails_tells_how_to_try_by_hand(folder):
    with pytest.raises(XenwireError, match="exited with status 7") as caught:
        await probe(find_qemu())
    assert caught.value.hint.startswith(f"see what it says: {folder}/qemu-system-x86_64 -machine none")
