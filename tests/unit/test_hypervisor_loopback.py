"""The loopback keeps the promises of its interface, which are Xen's."""

import select

import pytest

from xenwire.errors import NotFound
from xenwire.hypervisor.loopback import LoopbackEventChannels, LoopbackGrants


@pytest.fixture
def pair(tmp_path):
    """The event channels of a guest (5) and of the host (0), joined."""
    guest, host = LoopbackEventChannels(tmp_path, 5), LoopbackEventChannels(tmp_path, 0)
    offered = guest.offer(0)
    joined = host.bind(5, offered)
    yield guest, offered, host, joined
    guest.close()
    host.close()


def readable(channels):
    return bool(select.select([channels.fileno()], [], [], 0)[0])


def test_a_joined_port_is_pending_at_once(pair):
    _, _, host, joined = pair
    assert readable(host)
    assert host.pending() == [joined]
    assert host.pending() == []


def test_signals_both_ways(pair):
    guest, offered, host, joined = pair
    host.pending()
    host.unmask([joined])
    assert not readable(host)
    guest.notify(offered)
    assert host.pending() == [joined]
    host.notify(joined)
    assert guest.pending() == [offered]


def test_a_masked_port_is_silent_and_forgets_nothing(pair):
    guest, offered, host, joined = pair
    host.pending()
    guest.notify(offered)
    guest.notify(offered)
    assert not readable(host)
    host.unmask([joined])
    assert host.pending() == [joined]
    host.unmask([joined])
    assert host.pending() == []


def test_a_storm_is_one_signal(pair):
    guest, offered, host, joined = pair
    for _ in range(100_000):
        guest.notify(offered)
    assert host.pending() == [joined]
    host.unmask([joined])
    host.pending()  # what the pipe still held
    host.unmask([joined])


def test_a_signal_waits_for_whoever_joins_again(pair, tmp_path):
    guest, offered, host, joined = pair
    host.unbind(joined)
    guest.notify(offered)
    again = LoopbackEventChannels(tmp_path, 0)
    port = again.bind(5, offered)
    assert again.pending() == [port]
    again.close()


def test_an_unbound_port_is_ignored(pair):
    _, _, host, joined = pair
    host.unbind(joined)
    host.unmask([joined])
    assert host.pending() == []


def test_offers_that_were_not_made(tmp_path):
    host = LoopbackEventChannels(tmp_path, 0)
    with pytest.raises(NotFound, match="event channel 3 of domain 7"):
        host.bind(7, 3)
    stranger, guest = LoopbackEventChannels(tmp_path, 9), LoopbackEventChannels(tmp_path, 5)
    with pytest.raises(NotFound):
        stranger.bind(5, guest.offer(0))
    for channels in (host, stranger, guest):
        channels.close()


def test_a_granted_page_is_shared(tmp_path):
    guest, host = LoopbackGrants(tmp_path, 5), LoopbackGrants(tmp_path, 0)
    reference, page = guest.grant(0)
    assert reference >= 8
    assert bytes(page.view) == bytes(4096)
    mapped = host.map(5, reference)
    page.view[7] = 42
    assert mapped.view[7] == 42
    page.unmap()
    mapped.view[8] = 1  # a mapping outlives the grant
    mapped.unmap()
    with pytest.raises(NotFound):
        host.map(5, reference)


def test_a_page_for_another_is_not_to_be_had(tmp_path):
    reference, page = LoopbackGrants(tmp_path, 5).grant(0)
    for domid, ref in ((5, reference + 1), (6, reference)):
        with pytest.raises(NotFound, match=f"grant {ref} of domain {domid}"):
            LoopbackGrants(tmp_path, 0).map(domid, ref)
    with pytest.raises(NotFound):
        LoopbackGrants(tmp_path, 1).map(5, reference)
    page.unmap()


def test_a_view_that_is_alive_forbids_to_unmap(tmp_path):
    _, page = LoopbackGrants(tmp_path, 5).grant(0)
    part = page.view[:10]
    with pytest.raises(BufferError):
        page.unmap()
    part.release()
    page.unmap()
