from xenwire.xenstore.wire import Frame, Op
from xenwire.xenstored.effects import Event, Reply
from xenwire.xenstored.engine import Engine
from xenwire.xenstored.outbox import Outbox

CONNECTION = Engine().connect()


def event(payload, mergeable=True):
    return Event(CONNECTION, Frame(Op.WATCH_EVENT, 0, 0, payload), mergeable)


def test_keeps_order_and_counts_bytes():
    outbox = Outbox()
    effects = [event(b"a"), Reply(CONNECTION, Frame(Op.READ, 1, 0, b"x")), event(b"b")]
    for effect in effects:
        outbox.add(effect)
    data = b"".join(effect.frame.encode() for effect in effects)
    assert outbox.size == len(data)
    assert outbox.take() == data
    assert outbox.size == 0
    assert outbox.take() == b""


def test_merges_events_that_wait_but_not_replies():
    outbox = Outbox()
    reply = Reply(CONNECTION, Frame(Op.READ, 1, 0, b"x"))
    for effect in (event(b"a"), reply, event(b"a"), reply, event(b"b")):
        outbox.add(effect)
    assert outbox.take() == b"".join(
        effect.frame.encode() for effect in (event(b"a"), reply, reply, event(b"b"))
    )
    outbox.add(event(b"a"))
    assert outbox.take() == event(b"a").frame.encode()


def test_never_merges_what_may_not_be():
    outbox = Outbox()
    for _ in range(3):
        outbox.add(event(b"@releaseDomain\0t\0", mergeable=False))
    assert outbox.size == 3 * (16 + 17)
