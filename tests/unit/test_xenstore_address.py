import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from xenwire.errors import Denied, Unreachable
from xenwire.xenstore import address
from xenwire.xenstore.address import Address, failed_to_reach, find_store


@pytest.fixture
def store_socket(short_tmp):
    path = short_tmp / "socket"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        yield path


def test_named_socket(store_socket):
    assert find_store(store_socket, {"XENSTORED_PATH": "/nowhere"}) == Address(store_socket, device=False)


def test_named_device():
    assert find_store("/dev/null", {}) == Address(Path("/dev/null"), device=True)


def test_path_of_the_environment(store_socket):
    assert find_store(None, {"XENSTORED_PATH": str(store_socket)}).path == store_socket


def test_folder_of_the_environment(store_socket):
    assert find_store(None, {"XENSTORED_RUNDIR": str(store_socket.parent)}).path == store_socket


def test_device_where_there_is_no_socket(short_tmp, monkeypatch):
    monkeypatch.setattr(address, "DEVICE", Path("/dev/null"))
    assert find_store(None, {"XENSTORED_RUNDIR": str(short_tmp)}) == Address(Path("/dev/null"), device=True)


def test_neither(short_tmp, monkeypatch):
    monkeypatch.setattr(address, "DEVICE", short_tmp / "xenbus")
    with pytest.raises(Unreachable, match=f"nothing at {short_tmp}/socket or {short_tmp}/xenbus") as caught:
        find_store(None, {"XENSTORED_RUNDIR": str(short_tmp)})
    assert "xenwire store serve" in caught.value.hint


def test_named_path_has_no_alternative(short_tmp):
    with pytest.raises(Unreachable, match=r"nothing at .*/gone$"):
        find_store(None, {"XENSTORED_PATH": str(short_tmp / "gone")})


def test_ordinary_file_is_not_written_to(short_tmp):
    (short_tmp / "notes").write_text("mine")
    with pytest.raises(Unreachable, match="neither a socket nor a device"):
        find_store(short_tmp / "notes", {})


def test_no_permission():
    error = failed_to_reach(Path("/s"), PermissionError(13, "Permission denied"))
    assert isinstance(error, Denied)
    assert str(error) == "no access to the store at /s: Permission denied"


@pytest.mark.parametrize("module", ["wire", "perms", "requests", "session", "blocking"])
def test_what_needs_no_asyncio_does_not_import_it(module):
    code = f"import sys, xenwire.xenstore.{module}; sys.exit('asyncio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=os.environ, check=False).returncode == 0


def test_every_public_name_is_there():
    import xenwire.xenstore as package

    assert [name for name in package.__all__ if getattr(package, name).__name__ != name] == []
    with pytest.raises(AttributeError):
        package.Nonsense  # noqa: B018 - the access is the test
