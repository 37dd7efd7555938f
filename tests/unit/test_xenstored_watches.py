"""Who hears of what, when, and in which order."""

import pytest
from store_dialogue import OK, Dialogue

from xenwire.xenstore.wire import Frame, Op
from xenwire.xenstored.effects import Event


@pytest.fixture
def talk():
    talk = Dialogue()
    talk.run((talk.dom0, 0, Op.WRITE, "/a/b/c/d|1", OK))
    return talk


def watch(talk, connection, *paths, token="t"):
    for path in paths:
        assert talk.ask(connection, Op.WATCH, f"{path}|{token}|") == OK
    talk.heard(connection)


def test_first_event_follows_the_reply(talk):
    for path in ("/a", "/none", "relative", "@releaseDomain", "/"):
        assert talk.ask(talk.dom0, Op.WATCH, f"{path}|my token|") == OK
        assert talk.noted[-2:] == [(talk.dom0, OK), (talk.dom0, f"event {path}|my token|")]


def test_first_event_needs_no_rights(talk):
    guest = talk.guest(5)
    talk.run((guest, 0, Op.WATCH, "/a|t|", OK), (guest, 0, Op.WATCH, "@introduceDomain|t|", OK))
    assert talk.heard(guest) == ["/a|t|", "@introduceDomain|t|"]


def test_events_precede_the_reply_that_caused_them(talk):
    watch(talk, talk.dom0, "/a")
    talk.run((talk.dom0, 0, Op.WRITE, "/a/x|1", OK))
    assert talk.noted == [(talk.dom0, "event /a/x|t|"), (talk.dom0, OK)]


def test_a_change_is_heard_on_it_and_above(talk):
    watch(talk, talk.dom0, "/", "/a", "/a/b", "/a/b/x", "/a/b/x/y", "/a/bx", "/a/b/xx")
    talk.run((talk.dom0, 0, Op.WRITE, "/a/b/x|1", OK))
    assert talk.heard(talk.dom0) == ["/a/b/x|t|"] * 4


def test_what_is_made_on_the_way_fires_nothing_of_its_own(talk):
    watch(talk, talk.dom0, "/", "/n", "/n/m", "/n/m/o")
    talk.run((talk.dom0, 0, Op.WRITE, "/n/m/o|1", OK))
    assert talk.heard(talk.dom0) == ["/n/m/o|t|"] * 4


def test_what_fires(talk):
    watch(talk, talk.dom0, "/")
    talk.run(
        (talk.dom0, 0, Op.READ, "/a|", ""),
        (talk.dom0, 0, Op.DIRECTORY, "/a|", "b|"),
        (talk.dom0, 0, Op.GET_PERMS, "/a|", "n0|"),
        (talk.dom0, 0, Op.MKDIR, "/a|", OK),
        (talk.dom0, 0, Op.RM, "/none|", OK),
        (talk.dom0, 0, Op.WRITE, "/a/b.|", "EINVAL"),
    )
    assert talk.heard(talk.dom0) == []
    talk.run(
        (talk.dom0, 0, Op.WRITE, "/a|", OK),
        (talk.dom0, 0, Op.MKDIR, "/new|", OK),
        (talk.dom0, 0, Op.SET_PERMS, "/new|n0|", OK),
        (talk.dom0, 0, Op.RM, "/new|", OK),
    )
    assert talk.heard(talk.dom0) == ["/a|t|", "/new|t|", "/new|t|", "/new|t|"]


def test_removal_is_told_inside_out(talk):
    talk.run((talk.dom0, 0, Op.WRITE, "/a/b/e|1", OK))
    watch(talk, talk.dom0, "/", "/a", "/a/b", "/a/b/c", "/a/b/c/d", "/a/b/e", "/a/b/none", "/other")
    talk.run((talk.dom0, 0, Op.RM, "/a/b|", OK))
    # Inner ones once each, for their own watches; the one removed for those above it too.
    assert talk.heard(talk.dom0) == ["/a/b/c/d|t|", "/a/b/c|t|", "/a/b/e|t|", "/a/b|t|", "/a/b|t|", "/a/b|t|"]


def test_duplicates(talk):
    other = talk.engine.connect()
    talk.run(
        (talk.dom0, 0, Op.WATCH, "/local/domain/0/x|t|", OK),
        (talk.dom0, 0, Op.WATCH, "/local/domain/0/x|t|", "EEXIST"),
        (talk.dom0, 0, Op.WATCH, "x|t|", "EEXIST"),
        (talk.dom0, 0, Op.WATCH, "x|t|0|", "EEXIST"),
        (talk.dom0, 0, Op.WATCH, "x|u|", OK),
        (other, 0, Op.WATCH, "x|t|", OK),
        (talk.dom0, 0, Op.UNWATCH, "x|t|", OK),
        (talk.dom0, 0, Op.UNWATCH, "x|t|", "ENOENT"),
        (talk.dom0, 0, Op.WATCH, "x|t|", OK),
    )


def test_unwatched_is_unheard(talk):
    watch(talk, talk.dom0, "/a")
    watch(talk, talk.dom0, "/a", token="u")
    talk.run((talk.dom0, 0, Op.UNWATCH, "/a|t|", OK), (talk.dom0, 0, Op.WRITE, "/a|", OK))
    assert talk.heard(talk.dom0) == ["/a|u|"]


@pytest.mark.parametrize("ending", ["reset", "disconnect"])
def test_watches_end_with_their_connection(talk, ending):
    other = talk.engine.connect()
    watch(talk, other, "/a", "/none")
    if ending == "reset":
        talk.run((other, 0, Op.RESET_WATCHES, "", OK))
    else:
        talk.engine.disconnect(other)
    talk.run((talk.dom0, 0, Op.WRITE, "/a|", OK))
    assert talk.heard(other) == []


def test_relative_watches_tell_relative_paths(talk):
    guest = talk.guest(5)
    talk.run(
        (talk.dom0, 0, Op.WRITE, "/local/domain/5/data/x|1", OK),
        (talk.dom0, 0, Op.SET_PERMS, "/local/domain/5/data/x|n0|r5|", OK),
    )
    watch(talk, guest, "data/x")
    watch(talk, guest, "/local/domain/5/data/x", token="u")
    talk.run((talk.dom0, 0, Op.WRITE, "/local/domain/5/data/x|2", OK))
    assert talk.heard(guest) == ["data/x|t|", "/local/domain/5/data/x|u|"]
    talk.run((talk.dom0, 0, Op.RM, "/local|", OK))
    assert talk.heard(guest) == ["data/x|t|", "/local/domain/5/data/x|u|"]


@pytest.mark.parametrize(
    ("path", "depth", "heard"),
    [
        ("/", 0, []),
        ("/", 1, ["/a"]),
        ("/", 2, ["/a", "/a/b"]),
        ("/a", 0, ["/a"]),
        ("/a", 1, ["/a", "/a/b"]),
        ("/a/b", 2, ["/a/b", "/a/b/c", "/a/b/c/d"]),
    ],
)
def test_depth(talk, path, depth, heard):
    talk.run((talk.dom0, 0, Op.WATCH, f"{path}|t|{depth}|", OK))
    assert talk.heard(talk.dom0) == [f"{path}|t|"]
    talk.run(
        *((talk.dom0, 0, Op.WRITE, f"{changed}|", OK) for changed in ("/a", "/a/b", "/a/b/c", "/a/b/c/d"))
    )
    assert talk.heard(talk.dom0) == [f"{changed}|t|" for changed in heard]


def test_fan_out_goes_by_age_of_connection_then_of_watch(talk):
    younger = talk.engine.connect()
    watch(talk, younger, "/a")
    watch(talk, talk.dom0, "/a/b", token="1")
    watch(talk, talk.dom0, "/", token="2")
    talk.run((younger, 0, Op.WRITE, "/a/b|", OK))
    assert [(whose, text) for whose, text in talk.noted if text.startswith("event")] == [
        (talk.dom0, "event /a/b|1|"),
        (talk.dom0, "event /a/b|2|"),
        (younger, "event /a/b|t|"),
    ]


def test_guests_hear_of_what_they_may_read_themselves_or_list(talk):
    guest = talk.guest(5)
    talk.run((talk.dom0, 0, Op.SET_PERMS, "/a/b|n0|r5|", OK))
    watch(talk, guest, "/a")
    talk.run(
        (talk.dom0, 0, Op.WRITE, "/a|1", OK),
        (talk.dom0, 0, Op.WRITE, "/a/b|1", OK),
        (talk.dom0, 0, Op.WRITE, "/a/b/c|1", OK),
        (talk.dom0, 0, Op.WRITE, "/a/b/c/d|1", OK),
        (talk.dom0, 0, Op.SET_PERMS, "/a/b|n0|", OK),
        (talk.dom0, 0, Op.WRITE, "/a/b|1", OK),
        (talk.dom0, 0, Op.SET_PERMS, "/a/b|n0|r5|", OK),
        (talk.dom0, 0, Op.RM, "/a/b|", OK),
    )
    # What a new node inherits lets this guest read it, so making it is told; /a/b/c was made before.
    assert talk.heard(guest) == ["/a/b|t|", "/a/b/c|t|", "/a/b|t|", "/a/b|t|", "/a/b|t|"]


def test_removal_of_a_readable_node_below_is_told(talk):
    guest = talk.guest(5)
    talk.run((talk.dom0, 0, Op.SET_PERMS, "/a/b/c|n0|r5|", OK))
    watch(talk, guest, "/a/b/c/d", "/a/b/c", "/a/b", "/a")
    talk.run((talk.dom0, 0, Op.RM, "/a|", OK))
    # /a/b/c/d could be listed, /a/b/c read; of /a/b and /a the guest knew nothing.
    assert talk.heard(guest) == ["/a/b/c/d|t|", "/a/b/c|t|"]


def test_too_long_events_are_dropped(talk):
    """XSA-324."""
    token = "x" * (4096 - len("/a||"))
    talk.run((talk.dom0, 0, Op.WATCH, f"/a|{token}|", OK))
    assert talk.heard(talk.dom0) == [f"/a|{token}|"]
    talk.run((talk.dom0, 0, Op.WRITE, "/a|1", OK))
    assert talk.heard(talk.dom0) == [f"/a|{token}|"]
    talk.run((talk.dom0, 0, Op.WRITE, "/a/b|1", OK))
    assert talk.heard(talk.dom0) == []


def test_which_events_may_be_merged(talk):
    def mergeable(op, payload):
        effects = talk.engine.handle(talk.dom0, Frame(op, 0, 0, payload))
        return [effect.mergeable for effect in effects if isinstance(effect, Event)]

    assert mergeable(Op.WATCH, b"/a\0t\0") == [False]
    assert mergeable(Op.WATCH, b"@releaseDomain\0t\0") == [False]
    assert mergeable(Op.WRITE, b"/a\0") == [True]
    assert mergeable(Op.INTRODUCE, b"1\0001\0001\0") == []
    assert mergeable(Op.RELEASE, b"1\0") == [False]
    assert mergeable(Op.SET_PERMS, b"@releaseDomain\0n0\0") == [False]
