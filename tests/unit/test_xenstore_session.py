"""Replies find their requests in any order; whatever else a peer sends ends in ProtocolError."""

import errno

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenwire.errors import Denied, NotFound, ProtocolError
from xenwire.xenstore import StoreConflict, StoreDenied, StoreError, StoreNotFound, requests
from xenwire.xenstore.session import Event, Reply, Session
from xenwire.xenstore.wire import Frame, Op, join

READ = requests.read("/a")


def sent(session, request=READ, tx_id=0):
    req_id, message = session.send(request, tx_id)
    assert message == Frame(request.op, req_id, tx_id, request.payload).encode()
    return req_id


def received(session, *frames):
    return list(session.receive(b"".join(frame.encode() for frame in frames)))


def test_ids_differ_and_are_never_0():
    session = Session()
    assert [sent(session) for _ in range(3)] == [1, 2, 3]


def test_ids_wrap_around_and_pass_over_those_in_use():
    session = Session()
    assert sent(session) == 1
    session._last_id = 0xFFFFFFFE
    assert [sent(session), sent(session)] == [0xFFFFFFFF, 2]


@settings(max_examples=60)
@given(st.permutations(range(1, 8)), st.data())
def test_replies_in_any_order_and_any_pieces_with_events_between(order, data):
    session = Session()
    asked = {sent(session, request): request for request in [requests.read(f"/{i}") for i in range(1, 8)]}
    stream, expected = b"", []
    for req_id in order:
        if data.draw(st.booleans()):
            garbage = data.draw(st.integers(0, 0xFFFFFFFF))
            stream += Frame(Op.WATCH_EVENT, garbage, garbage, join("/x", "7")).encode()
            expected.append(Event("/x", "7"))
        stream += Frame(Op.READ, req_id, 0, str(req_id).encode()).encode()
        expected.append(Reply(req_id, asked[req_id], str(req_id).encode()))
    cut = data.draw(st.integers(0, len(stream)))
    assert [*session.receive(stream[:cut]), *session.receive(stream[cut:])] == expected


@pytest.mark.parametrize(
    ("payload", "name", "kind"),
    [
        (b"ENOENT\0", "ENOENT", StoreNotFound),
        (b"EACCES\0", "EACCES", StoreDenied),
        (b"EPERM", "EPERM", StoreDenied),
        (b"EQUOTA\0", "EQUOTA", StoreError),
        (b"", "", StoreError),
        (b"\xff\0\0", "\\xff\0", StoreError),
    ],
)
def test_refusal_keeps_the_name_that_was_sent(payload, name, kind):
    session = Session()
    req_id = sent(session)
    (reply,) = received(session, Frame(Op.ERROR, req_id, 0, payload))
    assert type(reply.result) is kind
    assert (reply.result.name, reply.result.op, reply.result.subject) == (name, Op.READ, "/a")


def test_refusals_belong_to_the_groups_that_callers_know():
    assert issubclass(StoreNotFound, NotFound)
    assert issubclass(StoreDenied, Denied)
    assert StoreNotFound("ENOENT", Op.READ, "/a").exit_status == NotFound.exit_status
    error = StoreNotFound("ENOENT", Op.READ, "/a")
    assert str(error) == "cannot read /a: it does not exist (ENOENT)"
    assert str(StoreError("EQUOTA", Op.WATCH, "/a")) == "cannot watch /a: an error of its own (EQUOTA)"
    assert (
        str(StoreError("E2BIG", Op.WATCH, "/a"))
        == "cannot watch /a: a quota of the domain is used up (E2BIG)"
    )
    assert str(StoreError("E2BIG", Op.READ, "/a")) == "cannot read /a: it does not fit in one message (E2BIG)"
    assert str(StoreError("EROFS", Op.MKDIR, "/a")) == "cannot make /a: Read-only file system (EROFS)"


def test_request_too_long_for_the_transport_is_not_sent():
    session = Session(max_payload=4080)
    sent(session, requests.write("/a", bytes(4077)))
    with pytest.raises(StoreError) as caught:
        session.send(requests.write("/a", bytes(4078)))
    assert caught.value.name == "E2BIG"


@pytest.mark.parametrize(
    "frame",
    [
        Frame(Op.READ, 2, 0, b""),
        Frame(Op.READ, 0, 0, b""),
        Frame(Op.WRITE, 1, 0, b""),
        Frame(99, 1, 0, b""),
        Frame(Op.WATCH, 0, 0, b"OK\0"),
        Frame(Op.WATCH_EVENT, 0, 0, b""),
        Frame(Op.WATCH_EVENT, 0, 0, b"/a\0"),
        Frame(Op.WATCH_EVENT, 0, 0, b"/a\x007"),
        Frame(Op.WATCH_EVENT, 0, 0, b"/a\x007\0x\0"),
        Frame(Op.WATCH_EVENT, 0, 0, b"//\x007\0"),
        Frame(Op.WATCH_EVENT, 0, 0, b"\xff\x007\0"),
    ],
)
def test_nonsense_is_a_protocol_error(frame):
    session = Session()
    sent(session)
    with pytest.raises(ProtocolError):
        received(session, frame)


def test_a_reply_is_taken_once():
    session = Session()
    reply = Frame(Op.READ, sent(session), 0, b"")
    received(session, reply)
    with pytest.raises(ProtocolError):
        received(session, reply)


def test_old_linux_loses_the_id_of_watch_replies():
    session = Session()
    sent(session)
    watch, unwatch = requests.watch("/a", "1"), requests.unwatch("/a", "1")
    first, second, third = sent(session, watch), sent(session, watch), sent(session, unwatch)
    frames = [
        Frame(Op.WATCH, 0, 0, b"OK\0"),
        Frame(Op.UNWATCH, 0, 0, b"OK\0"),
        Frame(Op.WATCH, 0, 0, b"OK\0"),
    ]
    assert [reply.req_id for reply in received(session, *frames)] == [first, third, second]


def test_errno_of_a_device_write_is_the_reply():
    session = Session()
    req_id = sent(session, requests.watch("/a", "1"))
    refused = session.refuse(req_id, FileExistsError(errno.EEXIST, "exists"))
    assert isinstance(refused.result, StoreConflict)
    assert (refused.req_id, refused.result.name) == (req_id, "EEXIST")
