"""A channel's frontend in a guest, in the place of Linux's driver; it does as it is told, until it is killed.

    python3 hostile_frontend.py DEVID HOW [VALUE...]

It says "begun" once what comes after that is for others to see. Runs in the guest: see `test_hostile_xen`.
"""

import itertools
import random
import select
import sys
import time

from xenwire.hypervisor import linux
from xenwire.rings import console
from xenwire.xenstore import BlockingStore
from xenwire.xenstore.errors import StoreDenied

IN_CONS, IN_PROD, OUT_CONS, OUT_PROD = range(768, 772)
ODD = (b"\xff\x00", b"4\x00", "٤".encode(), b"9" * 2000)


class Frontend:
    """What Linux's hvc_xen does, without the terminal, and without its manners."""

    def __init__(self, store, devid):
        self.store = store
        self.home = f"device/console/{devid}"
        self.backend = f"/local/domain/0/backend/console/{store.read_text('domid')}/{devid}"
        self.events, self.grants = linux.LinuxEventChannels(), linux.LinuxGrants()

    def begin(self, *, writable=True):
        """Let go of what was there, and offer another ring; say nothing of it yet."""
        self.say(6)
        self.until(b"6", b"2")
        self.say(1)
        self.until(b"2")
        linux._WRITABLE = int(writable)
        self.reference, self.page = self.grants.grant(0)
        self.ring = console.Frontend(self.page.view)
        self.words = self.page.view.cast("I")
        self.port = self.events.offer(0)
        self.write("ring-ref", str(self.reference))
        self.write("port", str(self.port))

    def connect(self):
        self.begin()
        self.say(3)
        self.until(b"4")
        self.say(4)

    def say(self, state):
        self.write("state", str(state))

    def write(self, key, value):
        self.store.write(f"{self.home}/{key}", value)

    def until(self, *states):
        path = f"{self.backend}/state"
        with self.store.watch(path, timeout=60) as changes:
            for _ in changes:
                if self.store.get(path) in states:
                    return

    def notify(self):
        self.events.notify(self.port)


def begun():
    sys.stdout.write("begun\n")
    sys.stdout.flush()


def honest(front):
    """Echo."""
    front.connect()
    begun()
    while True:
        front.events.unmask(front.events.pending())
        while data := front.ring.input.peek(console.IN_SIZE):
            front.ring.input.consume(len(data))
            while data:
                data = data[front.ring.output.put(data) :]
                front.notify()
        select.select([front.events], [], [])


def index(front, word, distance):
    """Put one of its indexes as far from the backend's as cannot be."""
    front.connect()
    word = int(word)
    front.words[word] = (front.words[word ^ 1] + int(distance)) % (1 << 32)
    front.notify()
    begun()


def index_before(front):
    """Offer a ring that is broken already."""
    front.begin()
    front.words[OUT_PROD] = 77777
    front.say(3)
    begun()


def running_indexes(front):
    """Write indexes that can be, forwards and backwards, while they are read; begin anew again and again."""
    front.connect()
    begun()
    for count in itertools.count(1):
        front.words[OUT_PROD] = (front.words[OUT_CONS] + random.randrange(2049)) % (1 << 32)
        front.words[IN_CONS] = (front.words[IN_PROD] - random.randrange(1025)) % (1 << 32)
        front.notify()
        if count % 20_000 == 0:
            front.connect()


def impossible_indexes(front):
    """Change them all between what can be and what cannot, as fast as it goes."""
    front.connect()
    begun()
    words = front.words
    while True:
        for word in (IN_CONS, IN_PROD, OUT_CONS, OUT_PROD):
            words[word] = random.getrandbits(32)
            words[word] = 0
        front.notify()


def room_that_goes(front):
    """Break its ring while it is being given bytes, and offer the same one again."""
    front.connect()
    begun()
    while True:
        for _ in range(2000):
            front.words[IN_CONS] = (front.words[IN_PROD] + 1) % (1 << 32)
            front.words[IN_CONS] = front.words[IN_PROD]
            front.notify()
        front.say(4)
        if front.store.get(f"{front.backend}/state") == b"5":
            front.connect()


def offer(front, key, value):
    """Offer one thing that is none. `-`: a page that may only be read."""
    front.begin(writable=value != "-")
    if value != "-":
        front.write(key, value)
    front.say(3)
    front.until(b"5")
    begun()


def senseless_offers(front):
    """Offer what cannot be, each once it was told that the one before is not taken."""
    for key, limit in (("ring-ref", 1 << 32), ("port", 1 << 17)):
        for value in ("0", "-1", str(limit), "text", *ODD):
            front.begin()
            front.write(key, value)
            front.say(3)
            front.until(b"5")
    begun()


def storm(front):
    """Signal without a cause."""
    front.connect()
    begun()
    while True:
        front.notify()


def flood(front):
    """Write without end, whether anybody takes it or not."""
    front.connect()
    begun()
    while True:
        if front.ring.output.put(bytes(console.OUT_SIZE)):
            front.notify()


def flips(front):
    """Go through the states, and wait for nobody."""
    front.begin()
    begun()
    for state in itertools.cycle((3, 4, 5, 6, 1)):
        front.say(state)


def odd_bytes(front):
    """Write what means nothing to all that it may write."""
    for value in ODD:
        front.connect()
        front.write("state", value)
        front.until(b"6")
    front.connect()
    for key, value in itertools.product(("backend", "backend-id", "protocol", "state/state"), ODD):
        front.write(key, value)
    begun()


def forge(front):
    """Remove its directory; that makes room for none in which nothing is dom0's."""
    front.connect()
    front.store.rm(front.home)
    try:
        front.write("tty", "/etc/passwd")
    except StoreDenied:
        begun()


if __name__ == "__main__":
    with BlockingStore.connect() as the_store:
        _, number, how, *values = sys.argv
        globals()[how](Frontend(the_store, number), *values)
        while True:
            time.sleep(60)
