"""The spool against a simple model, and killed between any two stores."""

import mmap
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenwire.channels.endpoints.base import Endpoint
from xenwire.channels.ringend import Port, RingEnd
from xenwire.channels.spool import HEADER, MOST_AT_ONCE, PAGE, Spool
from xenwire.channels.spoolfile import SpoolFile
from xenwire.channels.wire import Wire
from xenwire.errors import ProtocolError, XenwireError
from xenwire.rings.console import PAGE_SIZE, Backend, Frontend

STREAM = bytes(n * 7 % 251 for n in range(1 << 16))
"""What a guest writes: a byte tells its position, modulo 251."""


def spool_of(limit, back=None):
    return Spool.new(memoryview(bytearray(HEADER + limit)), back)


class Model:
    """All that ever came, and three numbers."""

    def __init__(self, limit):
        self.limit, self.came, self.taken, self.dropped = limit, b"", 0, 0

    def append(self, data):
        self.came += data
        excess = len(self.came) - self.taken - self.limit
        if excess > 0:
            self.taken += excess
            self.dropped += excess

    def take(self, count):
        self.taken += count


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.binary(max_size=300)),
        st.tuples(st.just("take"), st.integers(0, 400)),
        st.tuples(st.just("begin"), st.integers(0, (1 << 32) - 1)),
        st.tuples(st.just("again"), st.none()),
    ),
    max_size=30,
)


@settings(max_examples=150, deadline=None)
@given(OPERATIONS, st.integers(300, 1000))
def test_it_does_what_the_model_does(operations, limit):
    memory = memoryview(bytearray(HEADER + limit))
    spool, model = Spool.new(memory), Model(limit)
    began, generation = 0, 0
    for operation, argument in operations:
        match operation:
            case "append":
                spool.append(argument)
                model.append(argument)
            case "take":
                count = min(argument, len(spool))
                spool.take(spool.taken + count)
                model.take(count)
            case "begin":
                spool.begin(argument, argument)
                began, generation = spool.appended, generation + 1
                assert spool.knows(argument)
                assert spool.index == argument
            case "again":
                spool.release()
                spool = Spool(memory)
        assert (spool.appended, spool.taken, spool.dropped) == (len(model.came), model.taken, model.dropped)
        assert (len(spool), spool.room) == (len(model.came) - model.taken, limit - len(spool))
        assert (spool.began, spool.generation) == (began, generation)
        assert spool.peek(77) == model.came[model.taken :][:77]
        here = max(0, len(model.came) - limit)
        assert spool.oldest == here
        assert spool.read(here, limit) == model.came[here:]
        assert here <= spool.before(50) <= model.taken
        assert spool.before(0) == model.taken


def test_what_was_taken_can_be_shown_again():
    spool = spool_of(8192)
    for start in range(0, 10000, 1000):
        spool.append(STREAM[start : start + 1000])
    spool.take(9000)
    assert spool.before(100) == 8900
    assert spool.read(spool.before(100), 100) == STREAM[8900:9000]
    # a successor of one that was killed in `append` may find 2048 of the 8192 overwritten
    assert spool.before(1 << 20) == 10000 - 8192 + MOST_AT_ONCE


def test_taking_what_was_dropped_meanwhile():
    spool = spool_of(300)
    spool.append(STREAM[:200])
    spool.append(STREAM[200:400])
    spool.take(50)
    assert (spool.taken, spool.dropped, spool.delivered) == (100, 100, 0)
    spool.take(150)
    assert (spool.taken, spool.dropped, spool.delivered) == (150, 100, 50)


def test_a_ring_is_known_until_it_ends():
    spool = spool_of(300)
    assert not spool.knows(0)
    spool.begin(7, 0xFFFFFFF0)
    spool.append(bytes(32))
    assert spool.knows(7)
    assert spool.index == 16
    spool.end()
    assert not spool.knows(7)
    assert spool.generation == 1
    spool.begin(7, 0)
    assert (spool.generation, spool.began, spool.index) == (2, 32, 0)


def test_without_memory_all_goes_and_is_counted():
    pages = []
    spool = spool_of(3 * PAGE, lambda offset: len(pages) < 2 and not pages.append(offset))
    for start in range(0, 6144, 2048):
        spool.append(STREAM[start : start + 2048])
    assert pages == [0, PAGE]  # the first bytes are in the header's page
    assert (len(spool), spool.dropped) == (6144, 0)
    spool.append(b"there is no third page")
    assert (len(spool), spool.dropped, spool.appended) == (0, 6166, 6166)
    assert spool.before(100) == 6166
    pages.clear()
    spool.append(b"now there is")
    assert spool.peek(100) == b"now there is"
    assert spool.oldest == 6166


def test_a_page_is_asked_for_once():
    pages = []
    memory = memoryview(bytearray(HEADER + 3 * PAGE))
    spool = Spool.new(memory, lambda offset: not pages.append(offset))
    for _ in range(100):
        spool.append(bytes(1000))
        spool.take(spool.appended)
    assert pages == [0, PAGE, 2 * PAGE, 3 * PAGE]  # the first has half a page of it, and the last


@pytest.mark.parametrize("begun", [0, 1, 2047, 2048, 5000, 8191])
def test_whatever_is_written_to_was_asked_for(begun):
    memory = memoryview(bytearray(HEADER + 2 * PAGE))
    before = Spool.new(memory)
    for count in (2048,) * (begun // 2048) + (begun % 2048,):
        before.append(b"a" * count)
    before.release()
    asked = set()
    spool = Spool(memory, lambda offset: not asked.add(offset))
    for count in (1, 2048, 700, 2048, 2048, 2048, 2048):
        found = bytes(memory[HEADER:])
        spool.append(b"b" * count)
        changed = {(HEADER + n) // PAGE * PAGE for n, byte in enumerate(memory[HEADER:]) if byte != found[n]}
        assert changed <= asked


@pytest.mark.parametrize("word", [0, 8, 16, 24, 32])
def test_a_damaged_header_is_refused(word):
    memory = memoryview(bytearray(HEADER + 4096))
    spool = Spool.new(memory)
    spool.append(b"data")
    spool.release()
    memory[word + 4] ^= 0xFF
    with pytest.raises(ProtocolError):
        Spool(memory)


# --- files


def test_a_file_is_taken_over(tmp_path):
    first = SpoolFile.open(tmp_path / "s", 8192)
    first.spool.append(b"kept")
    first.close()
    second = SpoolFile.open(tmp_path / "s", 8192)
    assert second.spool.peek(10) == b"kept"
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o600
    second.close()


@pytest.mark.parametrize(("limit", "holds"), [(0, 4096), (5000, 8192), (1 << 20, 1 << 20)])
def test_limits_are_whole_pages(tmp_path, limit, holds):
    spool = SpoolFile.open(tmp_path / "s", limit)
    assert spool.spool.limit == holds
    spool.close()


@pytest.mark.parametrize("junk", [b"junk" * 3072, b"short", bytes(12288)])
def test_a_file_that_is_none_is_made_anew(tmp_path, junk):
    (tmp_path / "s").write_bytes(junk)
    spool = SpoolFile.open(tmp_path / "s", 8192)
    assert len(spool.spool) == 0
    spool.spool.append(b"fine")
    assert spool.spool.peek(10) == b"fine"
    spool.close()


def test_an_empty_one_takes_no_room(tmp_path):
    spool = SpoolFile.open(tmp_path / "s", 1 << 20)
    assert (tmp_path / "s").stat().st_blocks * 512 <= 2 * 4096
    spool.close()


def test_a_link_is_refused(tmp_path):
    (tmp_path / "s").symlink_to(tmp_path / "t")
    with pytest.raises(XenwireError):
        SpoolFile.open(tmp_path / "s", 8192)


def test_pages_that_the_kernel_cannot_give(tmp_path):
    # What stands for a full file system: no page of a mapping can be had behind the end of the file.
    spool = SpoolFile.open(tmp_path / "s", 1 << 20)
    os.truncate(tmp_path / "s", HEADER + 2 * mmap.PAGESIZE)
    for _ in range(100):
        spool.spool.append(bytes(2048))
    assert len(spool.spool) == 0
    assert spool.spool.dropped == 204800
    spool.close()


# --- killed between any two stores, of the spool and of the guest's ring


class Killed(BaseException):
    """The daemon is no more."""


class Fuse:
    """Blows at the store with this number: none comes after it."""

    def __init__(self):
        self.left = 1 << 62

    def burn(self):
        self.left -= 1
        return self.left == 0


class Memory:
    """A view of memory whose stores burn a fuse. A block is half there when the daemon is killed in it."""

    def __init__(self, view, fuse):
        self.view, self.fuse = view, fuse

    def __len__(self):
        return len(self.view)

    def __bytes__(self):
        return bytes(self.view)

    def __getitem__(self, key):
        found = self.view[key]
        return Memory(found, self.fuse) if isinstance(found, memoryview) else found

    def __setitem__(self, key, value):
        if self.fuse.burn():
            if isinstance(key, slice):
                start, half = key.start or 0, len(value) // 2
                self.view[start : start + half] = value[:half]
            raise Killed
        self.view[key] = value

    def cast(self, layout):
        return Memory(self.view.cast(layout), self.fuse)

    def release(self):
        self.view.release()


class NoRings:
    """What a ring's end needs of the hypervisor here: nobody is told anything."""

    def __init__(self):
        self.events = self

    def notify(self, port):
        pass


class Page:
    def __init__(self, view):
        self.view = view


class Consumer(Endpoint):
    """Takes blocks, and what it has taken is there whatever becomes of the daemon. Gives `typed`."""

    place, clients = None, 1

    def __init__(self, spool, block, got, typed):
        super().__init__(spool, lambda: None)
        self.block, self.got, self.typed = block, got, typed
        self.open_for = True

    async def open(self):
        pass

    def deliver(self):
        if self.open_for and (data := self.spool.peek(self.block)):
            position = self.spool.taken
            self.got.append((position, data))
            self.spool.take(position + len(data))

    def peek(self, limit):
        return bytes(self.typed[:limit])

    def consume(self, count):
        del self.typed[:count]

    def watch(self, *, want_input):
        pass

    def close(self):
        pass


class Log(Consumer):
    """One that can tell how much of it there is."""

    def __init__(self, spool, block, got, typed):
        super().__init__(spool, block, got, typed)
        spool.catch_up_with_log(77, self.length())

    def length(self):
        return sum(len(data) for _, data in self.got)

    def deliver(self):
        self.spool.mark_log(77, self.length())
        super().deliver()


class World:
    """A guest, a spool and a consumer, and a daemon between them that can be killed at any store."""

    def __init__(self, kind, limit=4096, index=0xFFFFFF00, *, busy=False):
        """`busy`: the guest is looked at again and again, and its bytes wait for more."""
        self.kind, self.busy = kind, busy
        self.fuse = Fuse()
        self.page, self.file = bytearray(PAGE_SIZE), bytearray(HEADER + limit)
        for word in range(768, 772):
            memoryview(self.page).cast("I")[word] = index
        self.guest = Frontend(memoryview(self.page))
        self.got, self.typed = [], bytearray()
        self.written = 0
        self.read = b""
        self.kills = 0
        Spool.new(memoryview(self.file))
        self.start()

    def start(self):
        self.spool = Spool(Memory(memoryview(self.file), self.fuse))
        self.wire = Wire(self.kind(self.spool, 1500, self.got, self.typed), self.spool)
        page = Page(Memory(memoryview(self.page), self.fuse))
        end = RingEnd(NoRings(), page, Backend(page.view), Port(1, bool, self.busy))
        end.adopt(self.spool, 4711)
        self.wire.guest = end

    def survive(self, action):
        """Do it, and start again as often as it is killed."""
        try:
            action()
        except Killed:
            self.kills += 1
            self.survive(self.start)

    def guest_goes(self, write, read):
        self.written += self.guest.output.put(STREAM[self.written : self.written + write])
        data = self.guest.input.peek(read)
        self.guest.input.consume(len(data))
        self.read += data

    def run(self, turns):
        for turn in range(turns):
            self.guest_goes(700 + turn * 97 % 1300, 500)
            self.survive(lambda: self.wire.turn())

    def finish(self):
        self.busy = self.wire.guest._port.busy = False
        for _ in range(20):
            self.guest_goes(0, 1024)
            self.survive(lambda: self.wire.turn())


def every_kill(make):
    """Give a world for each store at which a daemon can be killed, after it was."""
    for store in range(1, 10000):
        world = make()
        world.typed += STREAM[:3000]
        world.fuse.left = store
        world.run(8)
        world.finish()
        if not world.kills:
            assert store > 50
            return
        yield world
    raise AssertionError


@pytest.fixture(params=[(4096, False), (32768, False), (32768, True)], ids=["small", "large", "busy"])
def spool(request):
    limit, busy = request.param
    return {"limit": limit, "busy": busy}


def test_a_log_has_every_byte_once_at_every_kill(spool):
    for world in every_kill(lambda: World(Log, **spool)):
        assert b"".join(data for _, data in world.got) == STREAM[: world.written]
        assert world.spool.dropped == 0


def test_a_consumer_misses_nothing_and_sees_one_block_again_at_most(spool):
    for world in every_kill(lambda: World(Consumer, **spool)):
        end = repeated = 0
        for position, data in world.got:
            assert position <= end
            assert data == STREAM[position : position + len(data)]
            repeated += end - position
            end = position + len(data)
        assert end == world.written
        assert repeated <= 1500
        assert world.spool.dropped == 0


def test_input_reaches_the_guest_once_at_every_kill(spool):
    for world in every_kill(lambda: World(Log, **spool)):
        # What was looked at, and put into the ring, and not consumed, comes again: a socket's client is gone
        # by then, as its stream is.
        repeated = len(world.read) - 3000
        assert 0 <= repeated <= 1024
        seam = next((n for n, byte in enumerate(world.read) if byte != STREAM[n]), 3000)
        assert any(
            world.read == STREAM[:end] + STREAM[end - repeated : 3000] for end in range(seam - 251, seam + 1)
        )


def test_every_dropped_byte_is_counted_at_every_kill():
    def make():
        world = World(Consumer)
        world.wire.endpoint.open_for = False
        start = world.start

        def closed():
            start()
            world.wire.endpoint.open_for = False

        world.start = closed
        return world

    for world in every_kill(make):
        assert world.got == []
        assert world.spool.taken == world.spool.dropped == world.written - 4096
        assert world.spool.peek(4096) == STREAM[world.written - 4096 : world.written]


def test_a_log_that_was_rotated_while_nobody_was_there():
    spool = spool_of(4096)
    spool.append(STREAM[:100])
    spool.mark_log(77, 5000)
    spool.catch_up_with_log(78, 0)
    assert spool.peek(100) == STREAM[:100]
    spool.mark_log(77, 5000)
    spool.take(100)
    spool.catch_up_with_log(77, 0)
    assert len(spool) == 0


@pytest.mark.parametrize("store", [1, 2, 3, 4])
def test_a_mark_that_was_not_finished_says_nothing(store):
    memory, fuse = bytearray(HEADER + 4096), Fuse()
    spool = Spool.new(memoryview(memory))
    spool.append(STREAM[:100])
    spool.mark_log(77, 0)
    killed = Spool(Memory(memoryview(memory), fuse))
    fuse.left = store
    with pytest.raises(Killed):
        killed.mark_log(78, 5000)
    spool.catch_up_with_log(78, 5000)
    assert len(spool) == 100


def test_kept_input_is_put_once():
    spool = spool_of(4096)
    spool.keep_input(0xFFFFFFFF, b"typed")
    assert spool.kept_input() == (0xFFFFFFFF, b"typed")
    spool.forget_input()
    assert spool.kept_input()[1] == b""
