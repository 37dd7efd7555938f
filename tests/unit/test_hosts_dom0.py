import os

import pytest

from xenwire.errors import Denied, Unreachable
from xenwire.hosts.dom0 import refusal

DOM0 = "000228f0\n"  # what a real dom0 shows
GUEST = "000020f0\n"


@pytest.fixture
def place(tmp_path):
    def make(features):
        (tmp_path / "features").write_text(features)
        (tmp_path / "xenbus").touch()
        return refusal(tmp_path / "features", tmp_path / "xenbus")

    return make


def test_dom0(place):
    assert place(DOM0) is None


def test_a_guest_has_the_device_too(place):
    assert "guest" in place(GUEST).reason


def test_no_xen(tmp_path):
    assert type(refusal(tmp_path / "features", tmp_path / "xenbus")) is Unreachable


def test_nonsense(place):
    assert type(place("what?")) is Unreachable


def test_no_device(tmp_path):
    (tmp_path / "features").write_text(DOM0)
    assert type(refusal(tmp_path / "features", tmp_path / "xenbus")) is Unreachable


def test_no_access(place, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may do anything
    assert type(place(DOM0)) is Denied
