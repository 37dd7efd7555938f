"""The keys ioports, irqs and iomem."""

import re

import pytest
from config_special import is_silent, quoted, read
from hypothesis import given
from hypothesis import strategies as st

from xenwire.config.libxl.types import IomemRange, IoportRange
from xenwire.config.xl.ranges import read_iomem, read_ioports, read_irqs

READ = {"ioports": read_ioports, "irqs": read_irqs, "iomem": read_iomem}


def items(key, *texts):
    return read(READ[key], f"{key} = [{', '.join(map(quoted, texts))}]")


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("ioports", "2f8-2ff", IoportRange(first=0x2F8, number=8)),
        ("ioports", "3f8", IoportRange(first=0x3F8, number=1)),
        ("ioports", "0x60", IoportRange(first=0x60, number=1)),
        ("ioports", " 0X10- +0x20", IoportRange(first=0x10, number=0x11)),
        ("ioports", "-ffffffffffffffff", IoportRange(first=1, number=1)),
        ("ioports", "0-fffffffe", IoportRange(first=0, number=2**32 - 1)),
        ("irqs", "9", 9),
        ("irqs", " 010", 10),
        ("irqs", "4294967294", 2**32 - 2),
        ("iomem", "fee00,1", IomemRange(start=0xFEE00, number=1)),
        ("iomem", "a0000,20@b0000", IomemRange(start=0xA0000, number=0x20, gfn=0xB0000)),
        ("iomem", " 0xc0000, 0X10@ 1", IomemRange(start=0xC0000, number=0x10, gfn=1)),
        ("iomem", "0x,+0x@-0x", IomemRange(start=0, number=0, gfn=0)),
        ("iomem", "-1,fffffffffffffffff", IomemRange(start=2**64 - 1, number=2**64 - 1)),
    ],
)
def test_items(key, text, expected):
    outcome = items(key, text)
    assert outcome.value == (expected,)
    assert is_silent(outcome._replace(value=None))


@pytest.mark.parametrize("key", READ)
def test_no_items(key):
    assert items(key).value == ()
    assert read(READ[key], "").value == ()


def test_numbers_need_no_quotes():
    assert read(read_irqs, "irqs = [ 5, 9 ]").value == (5, 9)


@pytest.mark.parametrize(
    ("key", "text", "words"),
    [
        ("ioports", "", "xl: Invalid argument parsing ioport: "),
        ("ioports", "x", "xl: Invalid argument parsing ioport: x"),
        ("ioports", "2f8-", "xl: Invalid argument parsing ioport: 2f8-"),
        ("ioports", "2f8-x", "xl: Invalid argument parsing ioport: 2f8-x"),
        ("ioports", "2f8-2ff ", "xl: Invalid argument parsing ioport: 2f8-2ff "),
        ("ioports", "2f8-2fffffffff-", "xl: Invalid argument parsing ioport: 2f8-2fffffffff-"),
        ("ioports", "ffffffff", "xl: ioport ffffffff too big"),
        ("ioports", "ffffffff-", "xl: ioport ffffffff too big"),
        ("ioports", "-1", "xl: ioport ffffffffffffffff too big"),
        ("ioports", "2f8-2fffffffff", "xl: ioport 2fffffffff too big"),
        ("irqs", "", "xl: Invalid argument parsing irq: "),
        ("irqs", "9a", "xl: Invalid argument parsing irq: 9a"),
        ("irqs", "0x9", "xl: Invalid argument parsing irq: 0x9"),
        ("irqs", "9 ", "xl: Invalid argument parsing irq: 9 "),
        ("irqs", "4294967295", "xl: irq ffffffff too big"),
        ("irqs", "-1", "xl: irq ffffffffffffffff too big"),
        ("iomem", "", "xl: Invalid argument parsing iomem: "),
        ("iomem", "fee00", "xl: Invalid argument parsing iomem: fee00"),
        ("iomem", "fee00,", "xl: Invalid argument parsing iomem: fee00,"),
        ("iomem", "fee00 ,1", "xl: Invalid argument parsing iomem: fee00 ,1"),
        ("iomem", "fee00,1 ", "xl: Invalid argument parsing iomem: fee00,1 "),
        ("iomem", "fee00,1@", "xl: Invalid argument parsing iomem: fee00,1@"),
        ("iomem", "fee00,1@x", "xl: Invalid argument parsing iomem: fee00,1@x"),
        ("iomem", "fee00,1@1@", "xl: Invalid argument parsing iomem: fee00,1@1@"),
        ("iomem", "-,1", "xl: Invalid argument parsing iomem: -,1"),
    ],
)
def test_bad_items(key, text, words):
    outcome = items(key, "1,1" if key == "iomem" else "1", text, "x")
    assert (outcome.words, outcome.status) == (f"{words}\n", 1)
    assert len(outcome.errors) == 2
    assert len(outcome.value) == 1


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("ioports", "xl: Unable to get element #1 in ioport list\n"),
        ("irqs", "xl: Unable to get element 1 in irq list\n"),
        ("iomem", "xl: Unable to get element 1 in iomem list\n"),
    ],
)
def test_inner_lists(key, words):
    good = "1,1" if key == "iomem" else "1"
    outcome = read(READ[key], f"{key} = ['{good}', ['{good}'], '{good}']")
    assert (outcome.words, outcome.status, len(outcome.errors)) == (words, 1, 1)
    assert len(outcome.value) == 2


@pytest.mark.parametrize("key", READ)
def test_a_single_value_is_no_list(key):
    outcome = read(READ[key], f"{key} = '1'")
    assert outcome.words == (f"f.cfg:1: warning: parameter `{key}' is a single value but should be a list\n")
    assert (outcome.value, outcome.status) == ((), None)


def test_what_follows_a_port_is_a_warning_only():
    outcome = items("ioports", "2f8zz", "60 ")
    assert outcome.words == (
        "xl: Invalid argument parsing ioport: 2f8zz\nxl: Invalid argument parsing ioport: 60 \n"
    )
    assert outcome.value == (IoportRange(first=0x2F8, number=1), IoportRange(first=0x60, number=1))
    assert (outcome.status, len(outcome.warnings), outcome.errors) == (None, 2, [])


@pytest.mark.parametrize(("text", "number"), [("9-5", 2**32 - 3), ("9-8", 0)])
def test_a_reversed_range_wraps(text, number):
    outcome = items("ioports", text)
    assert outcome.value == (IoportRange(first=9, number=number),)
    assert (outcome.words, len(outcome.warnings)) == ("", 1)


@given(st.text("0x1f ,@-+\t", max_size=12))
def test_iomem_against_its_shape(text):
    """A model: the shape on its own, without the numbers."""
    number = r"\s*[+-]?(0x)?[0-9a-f]*(?<=[0-9a-fx])"
    shape = rf"{number},{number}(@{number})?"
    assert bool(items("iomem", text).errors) == (re.fullmatch(shape, text) is None)
