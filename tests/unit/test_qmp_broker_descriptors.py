"""Descriptors that QEMU holds for several clients."""

import pytest

from xenwire.qemu.qmp.broker.descriptors import Descriptors, Registry
from xenwire.qemu.qmp.broker.session import Refused


@pytest.fixture
def two():
    registry = Registry(everybodys=[7])
    return Descriptors("client1", registry), Descriptors("client2", registry)


@pytest.mark.parametrize(
    ("command", "arguments", "translated"),
    [
        ("getfd", {"fdname": "x"}, {"fdname": "client1-x"}),
        ("getfd", {"fdname": "5"}, {"fdname": "5"}),
        ("closefd", {"fdname": ""}, {"fdname": "client1-"}),
        ("add_client", {"protocol": "vnc", "fdname": "x"}, {"protocol": "vnc", "fdname": "client1-x"}),
        ("migrate", {"uri": "fd:x"}, {"uri": "fd:client1-x"}),
        ("migrate", {"uri": "tcp:fd:1"}, {"uri": "tcp:fd:1"}),
        ("migrate-incoming", {"uri": "fd:12"}, {"uri": "fd:12"}),
        ("dump-guest-memory", {"protocol": "fd:x"}, {"protocol": "fd:client1-x"}),
        ("netdev_add", {"type": "tap", "fds": "a:5:b"}, {"type": "tap", "fds": "client1-a:5:client1-b"}),
        ("device_add", {"driver": "vhost-vsock-pci", "vhostfd": "v"}, None),
        ("device_add", {"driver": "x", "name": "v"}, {"driver": "x", "name": "v"}),
        ("eject", {"fdname": "x", "fd": 3}, {"fdname": "x", "fd": 3}),
        (
            "chardev-add",
            {"backend": {"type": "socket", "data": {"addr": {"type": "fd", "data": {"str": "x"}}}}},
            {"backend": {"type": "socket", "data": {"addr": {"type": "fd", "data": {"str": "client1-x"}}}}},
        ),
        (
            "blockdev-add",
            {"driver": "nbd", "server": {"type": "fd", "str": "x"}},
            {"driver": "nbd", "server": {"type": "fd", "str": "client1-x"}},
        ),
        (
            "migrate",
            {"channels": [{"addr": {"transport": "fd", "str": "x"}}]},
            {"channels": [{"addr": {"transport": "fd", "str": "client1-x"}}]},
        ),
        ("getfd", {"fdname": 3}, {"fdname": 3}),
    ],
)
def test_names_are_the_clients_own(two, command, arguments, translated):
    before = repr(arguments)
    expected = translated or {"driver": "vhost-vsock-pci", "vhostfd": "client1-v"}
    assert two[0].translate(command, arguments) == expected
    assert repr(arguments) == before


def test_qemus_words_have_the_clients_names(two):
    assert two[0].own_words("File descriptor named 'client1-x' not found") == (
        "File descriptor named 'x' not found"
    )


def added(client, number, fd=20):
    client.note("add-fd", {}, {"fdset-id": number, "fd": fd})


def test_fd_sets_of_others_are_not_there(two):
    one, other = two
    added(one, 0)
    added(other, 1)
    sets = [{"fdset-id": number, "fds": []} for number in (0, 1, 7)]
    assert [each["fdset-id"] for each in one.note("query-fdsets", {}, sets)] == [0, 7]
    assert [each["fdset-id"] for each in other.note("query-fdsets", {}, sets)] == [1, 7]
    for command, arguments in [
        ("add-fd", {"fdset-id": 0}),
        ("remove-fd", {"fdset-id": 0}),
        ("blockdev-change-medium", {"id": "cd", "filename": "/dev/fdset/0"}),
        ("blockdev-add", {"file": [{"filename": "/dev/fdset/ +00"}]}),
        ("human-monitor-command", {"command-line": "change ide1-cd0 /dev/fdset/0"}),
    ]:
        assert one.translate(command, arguments) == arguments
        with pytest.raises(Refused):
            other.translate(command, arguments)
    with pytest.raises(Refused) as caught:
        other.translate("remove-fd", {"fdset-id": 0, "fd": 3})
    assert caught.value.description == "File descriptor named 'fdset-id:0, fd:3' not found"
    assert other.translate("remove-fd", {"fdset-id": 7}) == {"fdset-id": 7}


def test_what_a_client_leaves_is_closed(two):
    one, other = two
    for name in ("client1-b", "client1-a", "client1-gone"):
        one.note("getfd", {"fdname": name}, {})
    one.note("closefd", {"fdname": "client1-gone"}, {})
    added(one, 0, 20)
    added(one, 0, 21)
    added(one, 3, 22)
    added(one, 7, 23)
    added(one, 4, 24)
    one.note("remove-fd", {"fdset-id": 3, "fd": 22}, {})
    one.note("remove-fd", {"fdset-id": 4}, {})
    one.note("remove-fd", {"fdset-id": 99}, {})
    assert list(one.leftovers()) == [
        ("closefd", {"fdname": "client1-a"}),
        ("closefd", {"fdname": "client1-b"}),
        ("remove-fd", {"fdset-id": 0, "fd": 20}),
        ("remove-fd", {"fdset-id": 0, "fd": 21}),
        ("remove-fd", {"fdset-id": 7, "fd": 23}),
    ]
    assert list(one.leftovers()) == []
    assert other.translate("remove-fd", {"fdset-id": 0}) == {"fdset-id": 0}


def test_a_number_that_qemu_gives_again_changes_hands(two):
    one, other = two
    added(one, 0)
    added(other, 0)
    assert other.translate("remove-fd", {"fdset-id": 0})
    with pytest.raises(Refused):
        one.translate("remove-fd", {"fdset-id": 0})
    assert list(one.leftovers()) == []
    assert len(list(other.leftovers())) == 1
