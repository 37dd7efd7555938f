"""xenwire guest, in a made-up guest."""

import functools
import json
import os
import sys
import threading

import click
import pytest
from tests.unit.guest_tree import Tree

from xenwire.cli.guest import guest
from xenwire.errors import NotFound, TimedOut
from xenwire.guest.find import Finder


@pytest.fixture
def tree(tmp_path, monkeypatch):
    tree = Tree(tmp_path)
    monkeypatch.setattr("xenwire.cli.guest.Finder", functools.partial(Finder, tree.places))
    return tree


def xenwire_guest(*arguments):
    guest.main(list(arguments), standalone_mode=False)


def test_channels(tree, capsys):
    tree.plug("vport0p1", "org.example.a.0", connected=True)
    tree.plug("vport0p2", "\x1b[2J")
    (tree.dev / "vport0p2").unlink()
    xenwire_guest("channels")
    assert capsys.readouterr().out.splitlines() == [
        f"NAME             DEVICE{' ' * (len(str(tree.dev)) + 3)}  KIND    STATE",
        f"org.example.a.0  {tree.dev}/vport0p1  virtio  connected",
        f"�[2J             -{' ' * (len(str(tree.dev)) + 8)}  virtio  unknown",
    ]
    xenwire_guest("channels", "--json")
    first, second = json.loads(capsys.readouterr().out)
    assert first == {
        "name": "org.example.a.0",
        "device": f"{tree.dev}/vport0p1",
        "kind": "virtio",
        "state": "connected",
        "source": "vport0p1",
        "problem": None,
    }
    assert second["name"] == "\x1b[2J" and second["device"] is None and "there is no" in second["problem"]


def test_open(tree, monkeypatch, capfdbinary, tmp_path):
    controller, terminal = os.openpty()
    tree.plug("vport0p1", "org.example.a.0", terminal=os.ttyname(terminal))
    (tmp_path / "input").write_bytes(bytes(range(256)))
    received = []
    reader = threading.Thread(target=lambda: received.append(os.read(controller, 256)))
    reader.start()
    with (tmp_path / "input").open() as source, capfdbinary.disabled():
        monkeypatch.setattr(sys, "stdin", source)
        monkeypatch.setattr(sys, "stdout", sys.__stdout__)
        xenwire_guest("open", "org.example.a.0", "--wait", "5s")
    reader.join()
    assert received == [bytes(range(256))]
    os.close(controller)
    os.close(terminal)


def test_open_what_is_not_there(tree):
    with pytest.raises(NotFound):
        xenwire_guest("open", "org.example.a.0")
    with pytest.raises(TimedOut):
        xenwire_guest("open", "org.example.a.0", "--wait", "1ms")


@pytest.mark.parametrize("value", ["1", "=", "12=1", "0=1", "8=1", "1=8", "1=1=1", "a=b", ""])
def test_terminals_that_are_none(tree, value):
    with pytest.raises(click.BadParameter, match="is not N=K"):
        xenwire_guest("channels", "--hvc", value)


def test_terminals(tree, capsys):
    xenwire_guest("channels", "--hvc", "3=2", "--hvc", "1=1")
    assert capsys.readouterr().out == "NAME  DEVICE  KIND  STATE\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("60-xenwire-channels.rules", 'SYMLINK+="xen-channel/'),
        ("xenwire-channel@.service", "BindsTo=dev-xen\\x2dchannel-%i.device"),
        ("xenwire-guest.service", "xenwire guest run"),
    ],
)
def test_files(name, text, capsys):
    xenwire_guest("file", name)
    assert text in capsys.readouterr().out
