"""Seed 000's rule, word by word; and what a QEMU under Xen does not say."""

import pytest

from xenwire.devicemodel.backends import Backends, read_backends, served_types, unlisted_by_qemu
from xenwire.devicemodel.nodes import DeviceModelNodes
from xenwire.errors import Unreachable
from xenwire.types import DomId
from xenwire.xenstore.errors import StoreClosed, store_error
from xenwire.xenstore.wire import Op

NODES = DeviceModelNodes(DomId(3))


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


async def test_no_directory_is_an_old_device_model(store):
    found = await read_backends(store, NODES)
    assert found == Backends(None)
    assert found.types == ["console", "qdisk", "qnic", "vfb", "vkbd"]


async def test_an_empty_directory_means_none(store):
    await store.mkdir(NODES.backends)
    for under_xen in (False, True):
        found = await read_backends(store, NODES, under_xen=under_xen)
        assert found == Backends(frozenset())
        assert found.types == []


class Refusing:
    """A store of which nothing can be listed."""

    def __init__(self, error):
        self.error = error

    async def list(self, path):
        raise self.error


async def test_a_directory_that_may_not_be_listed_is_none():
    """As for libxl."""
    denied = Refusing(store_error("EACCES", Op.DIRECTORY, str(NODES.backends)))
    assert await read_backends(denied, NODES) == Backends(None)
    with pytest.raises(Unreachable):
        await read_backends(Refusing(StoreClosed.by(None)), NODES)


# What QEMUs list below $QEMU/backends: seen in labs, but for 3.1.
@pytest.mark.parametrize(
    ("listed", "unlisted"),
    [
        pytest.param("console vkbd qdisk 9pfs", "qdisk", id="3.1"),
        pytest.param("console vkbd 9pfs qusb", "qdisk", id="7.2 hvm"),
        pytest.param("console vkbd 9pfs qusb vfb qnic", "qdisk", id="7.2 pv"),
        pytest.param("9pfs vkbd qusb", "console qdisk qnic", id="10 hvm"),
        pytest.param("vkbd", "console qdisk qnic", id="small"),
        pytest.param("", "", id="nothing"),
        pytest.param("console", "", id="no QEMU"),
    ],
)
async def test_what_a_qemu_under_xen_serves_unsaid(store, listed, unlisted):
    assert unlisted_by_qemu(listed.split()) == {*unlisted.split()}
    await store.mkdir(NODES.backends)
    for type_ in listed.split():
        await store.mkdir(NODES.backends / type_)
    found = await read_backends(store, NODES, under_xen=True)
    assert found.types == sorted({*listed.split(), *unlisted.split()})
    assert all(found.supports(type_) for type_ in found.types)
    assert found.listed == {*listed.split()}
    # Where it is not QEMU that has written it, the rule is all there is.
    assert (await read_backends(store, NODES)).types == sorted(listed.split())
