import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenwire.cli._terminal import EscapeFilter

HARMLESS = [
    b"plain text\r\n",
    "grüße ☃ ě ☜".encode(),
    b"\x1b[31mred\x1b[0m",
    b"\x1b[1;1H\x1b[2J\x1b[?25l\x1b[K",
    b"\x1b7\x1b8\x1b(B\x1b=\x1bM",
    b"\x08\x07\t",
]
DANGEROUS = [
    b"\x1b]0;title\x07",
    b"\x1b]52;c;aGVsbG8=\x1b\\",
    b'\x1bP$q"p\x1b\\',
    b"\x1b_apc\x1b\\",
    b"\x1b^pm\x1b\\",
    b"\x1b[c",
    b"\x1b[>c",
    b"\x1b[6n",
    b"\x1b[5n",
    b"\x1b[21t",
    b"\x1b[?1;2y",
    b"\x1b[4i",
    b"\x05",
    "\x9b6n".encode()[:2],
    "\x9d".encode(),
    b"\x1bZ",
]


@pytest.mark.parametrize("data", HARMLESS)
def test_what_draws_passes(data):
    assert EscapeFilter().feed(data) == data


@pytest.mark.parametrize("data", DANGEROUS)
def test_what_makes_a_terminal_talk_does_not(data):
    assert EscapeFilter().feed(b"a" + data + b"b") == b"ab"


@settings(max_examples=200)
@given(
    st.lists(st.sampled_from(HARMLESS + DANGEROUS + [b"\x1b", b"\x1b[", b"\x1b]x"])),
    st.lists(st.integers(1, 8), min_size=1),
)
def test_splits_make_no_difference(pieces, sizes):
    data, whole, cut = b"".join(pieces), EscapeFilter(), EscapeFilter()
    expected, got, at, turn = whole.feed(data), b"", 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        got += cut.feed(data[at : at + size])
        at, turn = at + size, turn + 1
    assert got == expected


def test_an_endless_sequence_is_not_kept():
    escapes = EscapeFilter()
    for _ in range(1000):
        escapes.feed(b"\x1b]" + b"x" * 1000)
    assert len(escapes._kept) < 10_000
