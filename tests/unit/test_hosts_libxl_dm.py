"""What becomes of libxl's request for a device model."""

import pytest

from xenwire.devicemodel.libxl import parse_request
from xenwire.errors import UsageError
from xenwire.hosts.libxl_dm import _setup


@pytest.fixture
def request_for(monkeypatch):
    monkeypatch.setenv("XENWIRE_QEMU", "/bin/true")

    def make(words):
        return parse_request(["-xen-domid", "3", *words.split()])

    return make


async def test_a_monitor_of_the_users_own_where_it_cannot_be_is_refused(store, request_for):
    """By device_model_args: QEMU would take it, and end with the first datagram."""
    with pytest.raises(
        UsageError, match=r"-qmp udp:h:1 puts a monitor on a chardev of kind udp: .* datagram"
    ):
        await _setup(store, request_for("-qmp udp:h:1 -machine xenfv"))


async def test_other_monitors_of_the_users_own_are_left_to_qemu(store, request_for):
    words = "-qmp unix:/s,server=on,wait=off -monitor udp:h:1 -machine xenfv"
    setup = await _setup(store, request_for(words))
    assert setup.arguments == ["-xen-domid", "3", *words.split()]
