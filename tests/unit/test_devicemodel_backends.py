"""Seed 000's rule, word by word."""

import pytest

from xenwire.devicemodel.backends import Backends, served_types


@pytest.mark.parametrize(
    ("listed", "type_", "supported"),
    [
        ({"qdisk"}, "qdisk", True),
        ({"qdisk"}, "console", False),
        (set(), "console", False),
        (set(), "qusb", False),
        *((None, old, True) for old in ("console", "vkbd", "vfb", "qdisk", "qnic")),
        (None, "qusb", False),
        (None, "9pfs", False),
    ],
)
def test_supported(listed, type_, supported):
    assert Backends(None if listed is None else frozenset(listed)).supports(type_) is supported


def test_served_by_the_devices_that_exist():
    everything = [
        "virtserialport",
        "virtio-blk-pci",
        "virtio-net-pci",
        "virtio-keyboard-pci",
        "VGA",
        "isa-serial",
    ]
    assert served_types(everything) == ["console", "qdisk", "qnic", "vkbd", "vfb"]
    assert served_types(["virtio-net-pci", "cirrus-vga"]) == ["qnic"]
    assert served_types([]) == []
