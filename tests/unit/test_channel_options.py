"""What may be asked of a channel's host end: how it stands in the store, and which kind may have it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenwire.channels.keys import OUR_TYPE, Channel
from xenwire.channels.options import OPTIONS, Options
from xenwire.channels.spool import MAX_LIMIT
from xenwire.errors import UsageError
from xenwire.types import ChannelKind, ChannelName, DevId, DomId

NUMBERS = st.integers(-1, (1 << 32) - 1)
ALL = st.builds(
    Options,
    replay=st.integers(0, MAX_LIMIT),
    broadcast=st.booleans(),
    block=st.booleans(),
    hold=st.booleans(),
    mode=st.none() | st.integers(0, 0o777),
    owner=st.none() | st.tuples(NUMBERS, NUMBERS).filter(lambda pair: pair != (-1, -1)),
)


@settings(max_examples=300)
@given(ALL)
def test_the_store_gives_back_what_was_written(options):
    nodes = dict(options.nodes())
    assert set(nodes) <= set(OPTIONS)
    assert Options.parse(nodes) == options


def test_what_is_as_usual_is_not_written():
    assert list(Options().nodes()) == []
    Options().check(ChannelKind.NONE)


def test_how_they_are_written():
    options = Options(replay=4096, broadcast=True, block=True, hold=True, mode=0o60, owner=(0, -1))
    assert dict(options.nodes()) == {
        "replay": "4096",
        "broadcast": "1",
        "block": "1",
        "hold": "1",
        "mode": "0060",
        "owner": "0",
    }
    assert dict(Options(owner=(-1, 7)).nodes()) == {"owner": ":7"}


MEANT_FOR = {
    "replay": {ChannelKind.SOCKET},
    "broadcast": {ChannelKind.SOCKET},
    "block": {ChannelKind.SOCKET, ChannelKind.PTY},
    "hold": {ChannelKind.SOCKET, ChannelKind.PTY},
    "mode": {ChannelKind.SOCKET, ChannelKind.PTY},
    "owner": {ChannelKind.SOCKET, ChannelKind.PTY},
}
VALUES = {"replay": "1", "broadcast": "1", "block": "1", "hold": "1", "mode": "0600", "owner": "1"}


@pytest.mark.parametrize("kind", ChannelKind)
@pytest.mark.parametrize("key", OPTIONS)
def test_each_kind_has_its_own(kind, key):
    options = Options.parse({key: VALUES[key]})
    if kind in MEANT_FOR[key]:
        options.check(kind)
    else:
        with pytest.raises(UsageError, match=f"kind {kind} cannot have {key}"):
            options.check(kind)


def test_an_owner_is_somebody():
    with pytest.raises(UsageError, match="cannot have owner"):
        Options.parse({"owner": ":"})


def test_a_channel_carries_them_into_its_backend():
    channel = Channel(
        DomId(5),
        DevId(1),
        ChannelName("a"),
        ChannelKind.SOCKET,
        "/s",
        type=OUR_TYPE,
        options=Options(replay=10, mode=0o660),
    )
    nodes = {node.path: node for node in channel.nodes()}
    assert nodes[channel.backend / "replay"].value == "10"
    assert nodes[channel.backend / "mode"].value == "0660"
    # The guest may not change them.
    assert str(nodes[channel.backend / "mode"].perms) == str(nodes[channel.backend / "type"].perms)
    assert not any(path.endswith("/replay") for path in nodes if "/device/" in path)
