import itertools
import uuid

import pytest

from xenwire.config import ChannelConfig, DomainConfig
from xenwire.errors import Conflict, Denied, NotFound, UsageError
from xenwire.hosts import DomainInfo, DomainState, connect
from xenwire.hosts.base import resolve
from xenwire.hosts.machine import qemu_arguments
from xenwire.hosts.nodes import domain_nodes
from xenwire.types import ChannelKind, ChannelName, DomId

UUIDS = [uuid.UUID(f"{digit * 8}-0000-4000-8000-000000000000") for digit in "abc"]
DOMAINS = [
    DomainInfo(DomId(domid), name, id_, DomainState.RUNNING, 64, 1)
    for domid, name, id_ in zip((1, 2, 30), ("web", "webmail", "3"), UUIDS, strict=True)
]


@pytest.mark.parametrize(
    ("reference", "found"),
    [("web", 1), ("webm", 2), ("2", 2), (str(UUIDS[1]), 2), ("aaaa", 1), ("3", 30), ("30", 30), ("c", 30)],
)
def test_a_domain_is_found(reference, found):
    assert resolve(reference, DOMAINS).domid == found


def test_a_domid_comes_before_a_name_of_digits():
    domains = [*DOMAINS, DomainInfo(DomId(4), "1", uuid.uuid4(), DomainState.RUNNING, 64, 1)]
    assert resolve("1", domains).name == "web"


def test_an_ambiguous_name_lists_the_candidates():
    with pytest.raises(Conflict) as caught:
        resolve("we", DOMAINS)
    assert caught.value.reason == "web (domid 1), webmail (domid 2)"


@pytest.mark.parametrize("reference", ["", "mail", "300", "0"])
def test_no_such_domain(reference):
    with pytest.raises(NotFound):
        resolve(reference, DOMAINS)


@pytest.fixture
def kernel(tmp_path):
    (tmp_path / "vmlinuz").write_bytes(b"kernel")
    return str(tmp_path / "vmlinuz")


def pairs(arguments):
    return dict(itertools.pairwise(arguments))


def test_arguments(kernel):
    config = DomainConfig(
        "a,b", memory=128, vcpus=2, kernel=kernel, ramdisk=kernel, cmdline="console=ttyS0 x,y"
    )
    found = pairs(qemu_arguments(config, "tcg"))
    assert found["-name"] == "guest=a,,b"
    assert found["-m"] == "size=128M"
    assert found["-smp"] == "2"
    assert found["-kernel"] == found["-initrd"] == kernel
    assert found["-append"] == "console=ttyS0 x,y"
    assert found["-serial"] == "pty"
    assert found["-accel"] == "tcg"
    assert "-cpu" not in found
    assert pairs(qemu_arguments(config, "kvm"))["-cpu"] == "host"


def test_relative_kernels_are_resolved_here(kernel, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert pairs(qemu_arguments(DomainConfig("a", kernel="vmlinuz"), "tcg"))["-kernel"] == kernel


def test_no_kernel():
    with pytest.raises(UsageError, match="names no kernel"):
        qemu_arguments(DomainConfig("a"), "tcg")


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"name": "a\nb"}, "bytes that cannot be shown"),
        ({"name": "\udcff"}, "bytes that cannot be shown"),
        ({"vcpus": 289}, "at most 288"),
        ({"cmdline": "x" * 2048}, "has 2048 bytes"),
        ({"kernel": ""}, "names no kernel"),
        (
            {"channels": (ChannelConfig(ChannelName("c"), ChannelKind.PTY, backend="driver"),)},
            "backend domain 'driver'",
        ),
    ],
)
def test_what_this_host_cannot_do(kernel, keys, reason):
    with pytest.raises(UsageError, match=reason):
        qemu_arguments(DomainConfig(**{"name": "a", "kernel": kernel, **keys}), "tcg")


def test_a_kernel_that_is_not_there():
    with pytest.raises(NotFound, match="kernel /none/vmlinuz does not exist"):
        qemu_arguments(DomainConfig("a", kernel="/none/vmlinuz"), "tcg")


def test_a_kernel_that_is_a_folder(tmp_path):
    with pytest.raises(Denied, match="not a file"):
        qemu_arguments(DomainConfig("a", kernel=str(tmp_path)), "tcg")


@pytest.mark.parametrize(
    "serial", ["none", "null", "pty", "file:/x", "unix:/x,server=on", "tcp:h:1", "/dev/ttyS1"]
)
def test_serial_ports(kernel, serial):
    assert (
        pairs(qemu_arguments(DomainConfig("a", kernel=kernel, serial=(serial,)), "tcg"))["-serial"] == serial
    )


@pytest.mark.parametrize(
    "serial", ["", "stdio", "mon:stdio", "mon:pty", "vc", "chardev:xenwire-monitor", "file:"]
)
def test_serial_ports_that_would_take_what_is_not_theirs(kernel, serial):
    with pytest.raises(UsageError, match="serial port cannot be"):
        qemu_arguments(DomainConfig("a", kernel=kernel, serial=(serial,)), "tcg")


def test_nodes_of_a_domain():
    nodes = {
        str(n.path): n for n in domain_nodes(DomId(7), DomainConfig("web", memory=64, vcpus=2), UUIDS[0])
    }
    assert nodes["/local/domain/7/name"].value == "web"
    assert nodes["/local/domain/7/vm"].value == f"/vm/{UUIDS[0]}"
    assert nodes["/local/domain/7/domid"].value == "7"
    assert nodes["/local/domain/7/memory/target"].value == "65536"
    assert nodes["/local/domain/7/cpu/1/availability"].value == "online"
    assert str(nodes["/local/domain/7"].perms) == "n0,r7"
    assert str(nodes["/local/domain/7/data"].perms) == "n7"
    assert str(nodes["/libxl/7"].perms) == "n0"
    assert nodes["/local/domain/7/console/backend"].value == "/local/domain/0/backend/console/7/0"


def test_unknown_hosts():
    with pytest.raises(UsageError, match="not a host: ssh://x"):
        connect("ssh://x")
