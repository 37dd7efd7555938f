"""Which terminal a console has, against a model of the kernel's slots."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenwire.guest.hvc import Slots, reuses_slots


class Kernel:
    """What hvc_alloc and hvc_remove do, as far as slots go."""

    def __init__(self, reuses, first=1):
        self.reuses, self.next = reuses, first
        self.consoles = {}  # console: (who, slot)
        self.free = list(range(first, 16))
        self.count = 0

    def attach(self, number):
        self.count += 1
        slot, self.next = self.next, self.next + 1
        if self.reuses:
            slot = self.free.pop(0)
        self.consoles[number] = self.count, slot

    def detach(self, number):
        self.free = sorted([*self.free, self.consoles.pop(number)[1]])

    @property
    def seen(self):
        return {number: who for number, (who, _) in self.consoles.items()}


def slots_of(kernel, **options):
    slots = Slots(reuses=kernel.reuses, **options)
    slots.update(kernel.seen)
    return slots


@pytest.mark.parametrize("reuses", [True, False])
def test_consoles_in_a_row_have_their_own_numbers(reuses):
    kernel = Kernel(reuses)
    for number in (1, 2, 3):
        kernel.attach(number)
    slots = slots_of(kernel)
    assert [slots.of(n) for n in (1, 2, 3, 4)] == [1, 2, 3, None]


def test_without_primary_console_all_moves_by_one():
    kernel = Kernel(True, first=0)
    kernel.attach(1)
    kernel.attach(2)
    slots = slots_of(kernel, first=0)
    assert [slots.of(n) for n in (1, 2)] == [0, 1]


@pytest.mark.parametrize("numbers", [{2}, {1, 3}, {2, 3}])
def test_gaps_are_ambiguous(numbers):
    slots = Slots(reuses=True)
    slots.update(dict.fromkeys(numbers, 7))
    assert [slots.of(n) for n in numbers] == [None] * len(numbers)


def test_who_knows_better_says_so():
    slots = Slots(reuses=True, given={3: 2})
    slots.update({1: 10, 3: 30})
    assert (slots.of(1), slots.of(3)) == (1, 2)
    slots = Slots(reuses=True, given={2: 1})
    slots.update({1: 10, 2: 20})
    assert (slots.of(1), slots.of(2)) == (None, 1)  # no longer what a toolstack leaves


def test_a_console_that_came_while_we_looked_is_known():
    slots = Slots(reuses=True)
    slots.update({1: 10, 2: 20})
    slots.update({2: 20})
    slots.update({2: 20, 5: 50})
    assert (slots.of(1), slots.of(2), slots.of(5)) == (None, 2, 1)
    slots.update({2: 20, 5: 51, 1: 11})  # 5 went and came, and 1 came: in either order
    assert (slots.of(2), slots.of(5), slots.of(1)) == (2, None, None)


def test_old_kernels_never_give_a_slot_again():
    slots = Slots(reuses=False)
    slots.update({1: 10, 2: 20})
    slots.update({1: 10})
    slots.update({1: 10, 2: 21})
    assert (slots.of(1), slots.of(2)) == (1, 3)


def test_beside_an_ambiguous_one_nothing_new_can_be_told():
    slots = Slots(reuses=True)
    slots.update({3: 30})
    slots.update({3: 30, 1: 10})
    assert slots.of(1) is None
    slots.update({})
    slots.update({1: 11})
    assert slots.of(1) == 1


@pytest.mark.parametrize(
    ("release", "reuses"),
    [
        ("6.1.0-18-cloud-amd64", True),
        ("5.8", True),
        ("5.7.19", False),
        ("4.19.0-26-amd64", False),
        ("x", True),
    ],
)
def test_kernel_releases(release, reuses):
    assert reuses_slots(release) is reuses


@settings(max_examples=200)
@given(st.booleans(), st.integers(0, 1), st.lists(st.integers(1, 7), max_size=30))
def test_whoever_looks_after_each_change_is_never_wrong(reuses, first, steps):
    kernel = Kernel(reuses, first)
    slots = slots_of(kernel, first=first)
    for number in steps:
        if number in kernel.consoles:
            kernel.detach(number)
        else:
            kernel.attach(number)
        slots.update(kernel.seen)
        assert {n: slots.of(n) for n in kernel.consoles} == {n: s for n, (_, s) in kernel.consoles.items()}


@settings(max_examples=200)
@given(st.integers(0, 1), st.lists(st.integers(0, 6), max_size=30), st.data())
def test_with_the_lowest_free_number_every_answer_is_right(first, steps, data):
    """A toolstack that gives the lowest free number, and a first look at any time."""
    kernel = Kernel(True, first)
    for step in steps:
        if step < len(kernel.consoles):
            kernel.detach(sorted(kernel.consoles)[step])
        else:
            kernel.attach(next(n for n in range(1, 99) if n not in kernel.consoles))
    slots = slots_of(kernel, first=first)
    for number, (_, slot) in kernel.consoles.items():
        assert slots.of(number) in (slot, None)
    if sorted(kernel.consoles) == list(range(1, len(kernel.consoles) + 1)):
        assert None not in [slots.of(number) for number in kernel.consoles]
