"""Kernel modules: what each needs, and the order to load them in."""

import lzma

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenwire.errors import XenwireError
from xenwire.images.modules import Modules, dependencies, load_order

# What Debian 12's modules say of themselves.
VIRTIO = {
    "virtio_ring": "",
    "virtio": "virtio_ring",
    "virtio_pci_modern_dev": "",
    "virtio_pci_legacy_dev": "",
    "virtio_pci": "virtio_pci_modern_dev,virtio_pci_legacy_dev,virtio,virtio_ring",
    "virtio_console": "virtio,virtio_ring",
    "virtio-rng": "virtio,virtio_ring",
}


def module(depends):
    return b"\x7fELF...\0license=GPL\0depends=" + depends.encode() + b"\0retpoline=Y\0..."


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "kernel").mkdir()
    for name, depends in VIRTIO.items():
        (tmp_path / f"kernel/{name}.ko").write_bytes(module(depends))
    (tmp_path / "modules.builtin").write_text("kernel/drivers/tty/hvc/hvc_xen.ko\n")
    return tmp_path


def test_dependencies():
    assert dependencies(module("")) == []
    assert dependencies(module("virtio,virtio-ring")) == ["virtio", "virtio_ring"]
    assert dependencies(b"no such section") == []


def test_load_order():
    order = load_order(["virtio_pci", "virtio_console"], lambda name: dependencies(module(VIRTIO[name])))
    assert order == [
        "virtio_pci_modern_dev",
        "virtio_pci_legacy_dev",
        "virtio_ring",
        "virtio",
        "virtio_pci",
        "virtio_console",
    ]


@settings(max_examples=100)
@given(st.data())
def test_each_after_what_it_needs(data):
    count = data.draw(st.integers(1, 8))
    needs = {
        n: data.draw(st.lists(st.integers(0, n - 1), unique=True) if n else st.just([])) for n in range(count)
    }
    graph = {f"m{n}": [f"m{d}" for d in depends] for n, depends in needs.items()}
    wanted = data.draw(st.lists(st.sampled_from(list(graph))))
    order = load_order(wanted, graph.__getitem__)
    reached = set(wanted)
    for name in sorted(graph, key=lambda name: -int(name[1:])):
        if name in reached:
            reached.update(graph[name])
    assert set(order) == reached
    assert len(order) == len(reached)
    for name in order:
        assert all(order.index(needed) < order.index(name) for needed in graph[name])


def test_modules_of_a_kernel(folder):
    (folder / "kernel/virtio.ko").unlink()
    (folder / "kernel/virtio.ko.xz").write_bytes(lzma.compress(module("virtio_ring")))
    needed = Modules(folder).needed(["virtio_rng", "hvc_xen"])
    assert needed == [
        ("virtio_ring", module("")),
        ("virtio", module("virtio_ring")),
        ("virtio_rng", module("virtio,virtio_ring")),
    ]


def test_missing_module(folder):
    (folder / "kernel/virtio.ko").unlink()
    with pytest.raises(XenwireError) as caught:
        Modules(folder).needed(["virtio_console"])
    assert "no module virtio" in caught.value.reason
