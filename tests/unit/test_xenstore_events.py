"""A queue of events is bounded, and no change goes unmentioned."""

from hypothesis import given, settings
from hypothesis import strategies as st

from xenwire.types import StorePath
from xenwire.xenstore.events import EventQueue

ROOT = StorePath("/d")
PATHS = [ROOT, *(ROOT / i for i in range(6))]


def taken(queue):
    return list(iter(queue.take, None))


def test_order_is_kept_and_repetitions_are_merged():
    queue = EventQueue(ROOT)
    for name in "abcab":
        queue.put(ROOT / name)
    assert taken(queue) == ["/d/a", "/d/b", "/d/c"]
    queue.put(ROOT / "a")
    assert taken(queue) == ["/d/a"]


def test_overflow_gives_the_root_once():
    queue = EventQueue(ROOT, limit=2)
    for name in "abcdef":
        queue.put(ROOT / name)
    assert taken(queue) == ["/d"]
    queue.put(ROOT / "a")
    assert taken(queue) == ["/d/a"]


def test_the_root_may_wait_without_overflow():
    queue = EventQueue(ROOT, limit=2)
    queue.put(ROOT)
    queue.put(ROOT / "a")
    assert taken(queue) == ["/d", "/d/a"]


@settings(max_examples=200)
@given(st.lists(st.sampled_from(PATHS) | st.none(), max_size=40), st.integers(1, 5))
def test_whoever_rereads_what_is_named_misses_nothing(steps, limit):
    queue, unread = EventQueue(ROOT, limit), set()
    for step in [*steps, *[None] * limit]:
        if step is not None:
            queue.put(step)
            unread.add(step)
        elif (path := queue.take()) == ROOT:
            unread.clear()
        else:
            unread.discard(path)
    assert not unread
    assert queue.take() is None
