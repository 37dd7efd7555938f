"""Rings against a model: a queue of bytes between two ends that move as they like."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenwire.errors import ProtocolError
from xenwire.rings.console import IN_SIZE, OUT_SIZE, PAGE_SIZE, Backend, Frontend

OUT_CONS, OUT_PROD = 770, 771
IN_CONS, IN_PROD = 768, 769


def new_page(start=0):
    page = memoryview(bytearray(PAGE_SIZE))
    words = page.cast("I")
    for word in range(768, 772):
        words[word] = start
    return page


@given(
    st.sampled_from([0, 1, 2047, 2**31, 2**32 - 16, 2**32 - 1]),
    st.lists(st.tuples(st.sampled_from(["put", "take", "peek"]), st.integers(0, 3000)), max_size=60),
)
@settings(max_examples=150, deadline=None)
def test_a_ring_is_a_queue_of_bytes(start, steps):
    page = new_page(start)
    guest, host = Frontend(page), Backend(page)
    for producer, consumer, size in (
        (guest.output, host.output, OUT_SIZE),
        (host.input, guest.input, IN_SIZE),
    ):
        queue, counter = bytearray(), 0
        for action, count in steps:
            if action == "put":
                data = bytes((counter + i) % 251 for i in range(count))
                taken = producer.put(data)
                assert taken == min(count, size - len(queue))
                queue += data[:taken]
                counter += taken
            else:
                data = consumer.peek(count)
                assert data == queue[:count]
                if action == "take":
                    consumer.consume(len(data))
                    del queue[: len(data)]
            assert consumer.available() == len(queue)
            assert producer.room() == size - len(queue)


def test_a_full_ring_holds_all_its_bytes():
    page = new_page(0xFFFFFFF0)
    guest, host = Frontend(page), Backend(page)
    assert guest.output.put(bytes(3000)) == OUT_SIZE
    assert guest.output.put(b"x") == 0
    assert len(host.output.peek(4096)) == OUT_SIZE
    host.output.consume(OUT_SIZE)
    assert guest.output.room() == OUT_SIZE


@pytest.mark.parametrize("fill", [OUT_SIZE + 1, 0xFFFFFFFF, 2**31])
def test_an_index_that_cannot_be_true(fill):
    page = new_page(5)
    host = Backend(page)
    page.cast("I")[OUT_PROD] = (5 + fill) % 2**32
    with pytest.raises(ProtocolError, match="broke it"):
        host.output.peek(10)


def test_no_room_can_be_feigned():
    page = new_page(5)
    host = Backend(page)
    page.cast("I")[IN_CONS] = 6
    with pytest.raises(ProtocolError):
        host.input.put(b"x")


def test_the_guest_cannot_move_our_indexes():
    page = new_page()
    guest, host = Frontend(page), Backend(page)
    guest.output.put(b"abcdef")
    assert host.output.peek(3) == b"abc"
    page.cast("I")[OUT_CONS] = 5
    page.cast("I")[IN_PROD] = 700
    host.output.consume(3)
    assert host.output.peek(10) == b"def"
    host.input.put(b"hello")
    assert guest.input.peek(10) == b"hello"


def test_a_ring_is_taken_over_where_it_stands():
    page = new_page()
    guest, host = Frontend(page), Backend(page)
    guest.output.put(b"abcdef")
    host.output.consume(2)
    host.release()
    successor = Backend(page)
    assert successor.output.peek(10) == b"cdef"
    # It had taken one byte more, and was killed before it could say so.
    successor.output.resume(successor.output.index + 1)
    assert successor.output.peek(10) == b"def"
    assert guest.output.room() == OUT_SIZE - 3


class Shifty:
    """A page whose indexes are other ones at each load, as a guest can have it; loads are counted."""

    def __init__(self, told):
        self.page = new_page()
        self.words = self.page.cast("I")
        self.told = {word: iter(values) for word, values in told.items()}
        self.loads = []

    def cast(self, layout):
        return self

    def __getitem__(self, key):
        if isinstance(key, slice):
            return self.page[key]
        self.loads.append(key)
        return next(self.told[key], 0xDEAD_BEEF) if key in self.told else self.words[key]

    def __setitem__(self, key, value):
        if isinstance(key, slice):
            self.page[key] = value
        else:
            self.words[key] = value


def test_what_was_checked_is_what_counts():
    """Of an index one copy is taken: 10 bytes were there, and 10 are given, whatever it says by then."""
    page = Shifty({OUT_PROD: [10, 10, 2048, 3000]})
    host = Backend(page)
    page.page[1024:3072] = b"x" * 10 + b"old" * 679 + b"!"
    page.loads.clear()
    assert host.output.peek(100) == b"x" * 10
    assert page.loads == [OUT_PROD]
    host.output.consume(10)
    assert page.loads == [OUT_PROD]
    assert host.output.peek(5000) == b""
    assert len(host.output.peek(5000)) == 2038
    with pytest.raises(ProtocolError, match="broke it"):
        host.output.peek(5000)


def test_room_that_was_checked_is_what_is_filled():
    page = Shifty({IN_CONS: [0, 1000, 5000]})
    host = Backend(page)
    page.loads.clear()
    assert host.input.put(b"a" * 5000) == IN_SIZE
    assert page.loads == [IN_CONS]
    assert bytes(page.page[IN_SIZE : IN_SIZE + 8]) == bytes(8)
    assert host.input.put(b"b" * 5000) == 1000
    with pytest.raises(ProtocolError, match="broke it"):
        host.input.put(b"c")
    assert page.loads == [IN_CONS] * 3
    assert bytes(page.page[IN_SIZE : IN_SIZE + 2048]) == bytes(2048)


@pytest.mark.parametrize("liar", [{OUT_PROD: range(0, 1 << 32, 1700)}, {IN_CONS: range(0, 1 << 32, 500)}])
def test_indexes_that_never_stand_still(liar):
    """Each use is sound or refused; what lies beside the buffers is never touched."""
    page = Shifty(liar)
    host = Backend(page)
    page.page[3088:] = b"\xaa" * (PAGE_SIZE - 3088)
    refused = 0
    for _ in range(200):
        try:
            data = host.output.peek(1500)
            assert len(data) <= 1500
            host.output.consume(len(data))
            assert host.input.put(b"z" * 400) <= 400
        except ProtocolError:
            refused += 1
            host = Backend(page)  # as a guest that begins anew
    assert refused
    assert bytes(page.page[3088:]) == b"\xaa" * (PAGE_SIZE - 3088)


def test_the_connection_byte():
    page = new_page()
    host = Backend(page)
    host.say_connected(False)
    assert page[3088] == 1
    host.say_connected(True)
    assert page[3088] == 0


def test_a_released_ring_leaves_no_view_behind():
    buffer = bytearray(PAGE_SIZE)
    with memoryview(buffer) as page:
        host, guest = Backend(page), Frontend(page)
        host.release()
        guest.release()
    buffer += b"x"  # fails while a view is alive


def test_another_processor_is_refused(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    with pytest.raises(ProtocolError, match="aarch64"):
        Backend(new_page())
