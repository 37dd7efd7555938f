"""Invariant: however the bytes are split, the same messages come out; the only error is ProtocolError."""

import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenwire.errors import ProtocolError
from xenwire.qemu.qmp.session import (
    MAX_NESTING,
    ErrorReply,
    Event,
    Greeting,
    QmpSession,
    Reply,
    Synchronised,
    Version,
)

GREETING = {
    "QMP": {
        "version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "Debian 1:7.2"},
        "capabilities": ["oob"],
    }
}
STOP = {"timestamp": {"seconds": 1700000000, "microseconds": 250000}, "event": "STOP"}
SYNC_ID = "t-1"

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
REPLIES = st.builds(lambda id_, value: Reply(id_, value), JSON, JSON)
ERRORS = st.builds(ErrorReply, JSON, st.text(), st.text())
EVENTS = st.builds(
    Event, st.text(), st.dictionaries(st.text(), JSON, max_size=3), st.integers(-1, 2**40).map(float)
)


def body(message):
    match message:
        case Reply(id_, value):
            return {"return": value, "id": id_}
        case ErrorReply(id_, error_class, description):
            return {"id": id_, "error": {"class": error_class, "desc": description}}
        case Event(name, data, timestamp):
            when = {"seconds": int(timestamp), "microseconds": 0}
            return {"timestamp": when, "event": name, "data": data}


def encode(message, *, indent=None, end="\r\n", ascii_only=True):
    text = json.dumps(message, indent=indent, ensure_ascii=ascii_only)
    return (text.replace("\n", end or "\n") + end).encode("utf-8", "surrogatepass")


def feed(session, *pieces):
    return [message for piece in pieces for message in session.feed(piece)]


def cut(data, places):
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in itertools.pairwise(edges)]


@settings(max_examples=80)
@given(
    st.lists(
        st.tuples(REPLIES | ERRORS | EVENTS, st.sampled_from([None, 4]), st.sampled_from(["\r\n", "\n", ""]))
    ),
    st.lists(st.integers(0, 2**20), max_size=20),
)
def test_any_split_gives_the_messages_that_were_sent(sent, places):
    stream = b"".join(encode(body(message), indent=indent, end=end) for message, indent, end in sent)
    expected = [message for message, _, _ in sent]
    assert feed(QmpSession(), *cut(stream, places)) == expected
    assert feed(QmpSession(), *cut(stream, range(len(stream)))) == expected


def outcome(pieces, *, sync=False):
    session = QmpSession("t", max_message=64)
    if sync:
        session.resync()
    messages = []
    try:
        for piece in pieces:
            messages.extend(session.feed(piece))
    except ProtocolError:
        messages.append("lost")
    return messages


NOISE = st.lists(
    st.sampled_from([
        b"{", b"}", b"[", b"]", b'"', b"\\", b"\n", b"\r\n", b" ", b"a", b":", b",", b"\xff", b"1",
        b'{"return": 1}', b'{"return": {}, "id": "t-1"}\n', b'"id": "t-1"', b"x" * 70,
    ]),
    max_size=20,
).map(b"".join)  # fmt: skip


@settings(max_examples=250)
@given(NOISE, st.lists(st.integers(0, 2**20), max_size=20), st.booleans())
def test_noise_gives_the_same_however_it_is_split(noise, places, sync):
    whole = outcome([noise], sync=sync)
    assert outcome(cut(noise, places), sync=sync) == whole
    assert outcome(cut(noise, range(len(noise))), sync=sync) == whole


def test_a_greeting():
    version = Version(7, 2, 22, "Debian 1:7.2")
    assert feed(QmpSession(), encode(GREETING)) == [Greeting(version, frozenset({"oob"}))]
    assert str(version) == "7.2.22 (Debian 1:7.2)"
    assert str(Version(8, 0, 0, "")) == "8.0.0"


def test_an_event_without_data_has_an_empty_one():
    assert feed(QmpSession(), encode(STOP)) == [Event("STOP", {}, 1700000000.25)]


def test_replies_that_have_no_id():
    stream = b'{"return": 5}{"error": {"class": "GenericError", "desc": "bad"}}'
    assert feed(QmpSession(), stream) == [Reply(None, 5), ErrorReply(None, "GenericError", "bad")]


@pytest.mark.parametrize(
    "stream",
    [
        b"hello",
        b"[1]",
        b"{]",
        b'{"return": }',
        b'{"return": "\xff"}',
        b"{}",
        b'{"QMP": {"version": {}, "capabilities": []}}',
        b'{"error": "no"}',
        b'{"event": "STOP"}',
        b'{"event": "STOP", "timestamp": {"seconds": 1, "microseconds": 1}, "data": []}',
        b'{"event": "STOP", "timestamp": {"seconds": 0, "microseconds": 1' + b"0" * 400 + b"}}",
        b'{"return": 1' + b"0" * 5000 + b"}",
        b'{"return": ' + b"[" * MAX_NESTING,
    ],
)
def test_what_is_no_qmp_is_an_error_of_the_protocol(stream):
    with pytest.raises(ProtocolError):
        feed(QmpSession(), stream)


def test_the_deepest_nesting_that_is_taken():
    inside = MAX_NESTING - 1
    assert len(feed(QmpSession(), b'{"return": ' + b"[" * inside + b"]" * inside + b"}")) == 1


@pytest.mark.parametrize("pieces", [1, 40])
def test_a_message_may_be_so_long_and_no_longer(pieces):
    message = encode({"return": "x" * 20}, end="")
    limit = len(message)
    assert feed(QmpSession(max_message=limit), *cut(message, range(pieces)), b"\r\n") == [
        Reply(None, "x" * 20)
    ]
    with pytest.raises(ProtocolError, match=f"{limit - 1} bytes"):
        feed(QmpSession(max_message=limit - 1), *cut(message, range(pieces)))


def test_messages_before_the_fault_are_given():
    messages = QmpSession().feed(b'{"return": 1}{"return": 2}oops')
    assert [next(messages), next(messages)] == [Reply(None, 1), Reply(None, 2)]
    with pytest.raises(ProtocolError):
        next(messages)


@settings(max_examples=50)
@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_commands_are_json_with_ids_of_their_own(arguments):
    session = QmpSession("me")
    first, second = session.command("one"), session.command("two", arguments)
    assert json.loads(first.data) == {"execute": "one", "id": first.id}
    sent = json.loads(second.data)
    assert (sent["execute"], sent.get("arguments", {}), sent["id"]) == ("two", arguments, second.id)
    assert first.id != second.id
    assert first.data.endswith(b"\r\n")


@pytest.mark.parametrize("value", [object(), float("nan"), "\udc80"])
def test_a_command_that_json_has_no_form_for(value):
    with pytest.raises((TypeError, ValueError)):
        QmpSession().command("x", {"value": value})


def test_a_resync_begins_with_a_byte_that_no_json_has():
    session = QmpSession("t")
    data = session.resync()
    assert data.startswith(b"\xff\n")
    assert json.loads(data[2:]) == {"execute": "qmp_capabilities", "id": SYNC_ID}


FRESH = {"return": {}, "id": SYNC_ID}
NEGOTIATED = {"id": SYNC_ID, "error": {"class": "CommandNotFound", "desc": "already complete"}}
PARSE_ERROR = {"error": {"class": "GenericError", "desc": "JSON parse error, stray '\u00ff'"}}


@pytest.mark.parametrize("indent", [None, 4])
@pytest.mark.parametrize(
    "remains",
    [
        b"",
        b'ent": "STOP"}\r\n',
        b'{"a": 1}, "b": 2}\r\n',
        b'"x": { ["\r\n',
        b"\xff\xfe }{ \r\n",
        b"x" * 2000 + b"\r\n",
    ],
)
@pytest.mark.parametrize(("answer", "fresh"), [(FRESH, True), (NEGOTIATED, False)])
def test_a_resync_drops_all_that_was_left_behind(remains, answer, fresh, indent):
    def line(message):
        return encode(message, indent=indent)

    old = {"return": {}, "id": "t-0"}
    stream = remains + b"".join(map(line, [old, GREETING, STOP, PARSE_ERROR, answer, STOP, {"return": 7}]))
    for pieces in ([stream], cut(stream, range(len(stream)))):
        session = QmpSession("t", max_message=1000)
        session.resync()
        assert feed(session, *pieces) == [
            Synchronised(fresh),
            Event("STOP", {}, 1700000000.25),
            Reply(None, 7),
        ]


def test_after_a_resync_faults_count_again():
    session = QmpSession("t")
    session.resync()
    with pytest.raises(ProtocolError):
        feed(session, b"oops\r\n" + encode(FRESH), b"oops")


def test_a_resync_in_the_middle_of_a_session():
    session = QmpSession("t")
    assert feed(session, encode(GREETING) + b'{"return": "unfin')[0].version.major == 7
    session.resync()
    assert feed(session, b'ished"}\r\n', encode(FRESH)) == [Synchronised(fresh=True)]
