"""A flat repository: its index, checked as deb822 text, and made of real packages."""

import hashlib
import subprocess

import pytest

from xenwire.errors import XenwireError
from xenwire.images import repository

CONTROL = "Package: tiny\nVersion: 1:2\nArchitecture: all\nDescription: none\n more of it\n"


def test_stanza():
    assert repository.stanza(CONTROL, "tiny_1%3a2_all.deb", b"package") == (
        f"{CONTROL}Filename: ./tiny_1%3a2_all.deb\nSize: 7\n"
        f"SHA256: {hashlib.sha256(b'package').hexdigest()}\n"
    )


def test_source_of_a_folder_with_a_space(tmp_path):
    assert repository.source(tmp_path / "my cache").endswith("/my%20cache ./")


@pytest.fixture
def package(tmp_path):
    control = tmp_path / "tiny/DEBIAN/control"
    control.parent.mkdir(parents=True)
    control.write_text(CONTROL.replace("Description", "Maintainer: none <none@example.org>\nDescription"))
    path = tmp_path / "tiny_1%3a2_all.deb"
    argv = ["dpkg-deb", "--build", "-Znone", "--root-owner-group", tmp_path / "tiny", path]
    subprocess.run(argv, check=True, capture_output=True)
    return path


async def test_made_of_packages(package, tmp_path):
    folder = tmp_path / "repository"
    folder.mkdir()
    assert await repository.make(folder, [package]) == ["tiny"]
    assert (folder / package.name).samefile(package)
    stanzas = (folder / "Packages").read_text().split("\n\n")
    assert len(stanzas) == 1
    assert f"Size: {package.stat().st_size}\n" in stanzas[0]


async def test_no_package(tmp_path):
    path = tmp_path / "tiny_1_all.deb"
    path.write_bytes(b"nonsense")
    folder = tmp_path / "repository"
    folder.mkdir()
    with pytest.raises(XenwireError, match="dpkg-deb failed"):
        await repository.make(folder, [path])
