"""The lab's wire format: whole, cut anywhere, broken off, and amid garbage, against a byte-by-byte model."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenwire.lab.frames import (
    MARKER,
    MAX_PAYLOAD,
    Broken,
    Command,
    Decoder,
    Frame,
    Kind,
    Refusal,
    Sync,
    Tty,
    encode,
    encode_data,
    encode_numbers,
    numbers,
)

NONCE = bytes(range(16))
SYNC = MARKER + NONCE


class Model:
    """What the protocol says, a byte at a time and without a thought for speed."""

    def __init__(self):
        self.seen = b""
        self.have = None  # None: hunting for a marker
        self.nonce = False
        self.items = []

    def byte(self, value):
        self.seen += value
        if self.have is not None and not self.seen.endswith(MARKER):
            self.have += value
            self.complete()
        if self.seen.endswith(MARKER):
            self.have, self.nonce = b"", True

    def complete(self):
        if self.nonce:
            if len(self.have) == 16:
                self.items.append(Sync(self.have))
                self.have, self.nonce = b"", False
        elif len(self.have) >= 5 and not MARKER.startswith(self.have):
            number, length = self.have[0], int.from_bytes(self.have[1:5], "big")
            if number not in list(Kind) or length > MAX_PAYLOAD:
                self.items.append(Broken(f"frame of kind {number} with {length} bytes"))
                self.have = None
            elif len(self.have) == 5 + length:
                self.items.append(Frame(Kind(number), self.have[5:]))
                self.have = b""


def decode(stream, cuts=()):
    decoder = Decoder()
    places = [0, *sorted(cuts), len(stream)]
    return [item for start, end in itertools.pairwise(places) for item in decoder.feed(stream[start:end])]


payloads = st.one_of(st.binary(max_size=40), st.just(MARKER), st.just(MARKER[:9]), st.just(MARKER[7:] * 2))
pieces = st.one_of(
    payloads,
    st.just(SYNC),
    st.just(MARKER),
    st.builds(encode_data, st.sampled_from(Kind), payloads),
    st.builds(
        lambda frame, cut: frame[:cut], st.builds(encode, st.sampled_from(Kind), payloads), st.integers(0, 20)
    ),
)


@settings(max_examples=300)
@given(st.lists(pieces, max_size=12).map(b"".join), st.data())
def test_decodes_any_stream_as_the_model_does(stream, data):
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=8))
    model = Model()
    for value in stream:
        model.byte(bytes([value]))
    assert decode(stream, cuts) == model.items


@settings(max_examples=100)
@given(st.lists(st.sampled_from([MARKER, MARKER[:5], MARKER[5:], b"\xf8", b"x"]), max_size=40).map(b"".join))
def test_data_come_through_and_never_hold_the_marker(data):
    sent = encode_data(Kind.STDIN, data)
    assert MARKER not in sent
    items = decode(SYNC + sent)
    assert items[0] == Sync(NONCE)
    assert b"".join(item.payload for item in items[1:]) == data


def test_a_marker_that_begins_in_a_length_is_taken_apart():
    data = MARKER[1:] + bytes(MARKER[0] - 15)
    assert encode(Kind.STDIN, data)[4:20] == MARKER
    sent = encode_data(Kind.STDIN, data)
    assert MARKER not in sent
    assert b"".join(item.payload for item in decode(SYNC + sent)[1:]) == data


def test_a_sync_counts_wherever_a_frame_was_broken_off():
    frame = encode(Kind.STDIN, bytes(MAX_PAYLOAD))
    assert len(frame) == 1 << 16
    for cut in (1, 4, 5, 6, 60000, len(frame) - 1):
        items = decode(SYNC + frame[:cut] + MARKER + NONCE[::-1] + encode(Kind.END), [len(SYNC) + cut + 3])
        assert items[-2:] == [Sync(NONCE[::-1]), Frame(Kind.END, b"")]


def test_garbage_takes_no_memory():
    decoder = Decoder()
    assert decoder.feed(bytes(10_000_000)) == []
    assert decoder.feed(SYNC) == [Sync(NONCE)]
    assert decoder.feed(b"\xff" * 5) == [Broken("frame of kind 255 with 4294967295 bytes")]
    assert decoder.feed(encode(Kind.END) * 1000) == []
    assert len(decoder._buffer) + len(decoder._tail) < 32


def test_a_frame_has_at_most_64_kib():
    with pytest.raises(ValueError, match="more than 65531"):
        encode(Kind.STDOUT, bytes(MAX_PAYLOAD + 1))


def test_bytes_on_the_wire():
    assert encode_data(Kind.STDIN, b"hi") == b"\x02\0\0\0\x02hi"
    assert encode_numbers(Kind.EXIT, -9) == b"\x43\0\0\0\x08" + b"\xff" * 7 + b"\xf7"
    assert encode_numbers(Kind.RESIZE, 24, 80) == b"\x05\0\0\0\x10" + b"\0" * 7 + b"\x18" + b"\0" * 7 + b"P"
    assert encode(Kind.STDIN_EOF) == b"\x03\0\0\0\0"


def test_numbers_are_as_many_as_expected():
    assert numbers(encode_numbers(Kind.RESIZE, 1, -2)[5:], 2) == (1, -2)
    with pytest.raises(ValueError, match="1 numbers are expected"):
        numbers(b"\0" * 7, 1)


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=9) | st.just("\udcff")


@settings(max_examples=60)
@given(
    st.builds(
        Command,
        st.lists(texts, max_size=4).map(lambda words: ("x", *words)),
        st.dictionaries(texts, texts, max_size=3),
        st.none() | texts,
        st.none() | st.builds(Tty, st.integers(0, 999), st.integers(0, 999), texts),
        st.floats(0, 100),
    )
)
def test_a_command_comes_through(command):
    (frame,) = decode(SYNC + command.encode())[1:]
    assert frame.kind is Kind.EXEC
    assert Command.parse(frame.payload) == command


def test_a_refusal_comes_through_cut():
    frame = Refusal(2, "ü" * 5000).encode()
    assert Refusal.parse(frame[5:]) == Refusal(2, "ü" * 1000)


GOOD = b'{"argv": ["x"], "env": {}, "cwd": null, "tty": null, "kill_after": 1}'


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff",
        b"[]",
        b"[" * 60000,
        b"{}",
        GOOD.replace(b'["x"]', b"[]"),
        GOOD.replace(b'["x"]', b'[""]'),
        GOOD.replace(b'["x"]', b"3"),
        GOOD.replace(b'"x"', b'"\\u0000"'),
        GOOD.replace(b"{}", b"[]"),
        GOOD.replace(b"{}", b'{"a": 1}'),
        GOOD.replace(b'"cwd": null', b'"cwd": 1'),
        GOOD.replace(b'"tty": null', b'"tty": {"rows": 1}'),
        GOOD.replace(b'"tty": null', b'"tty": 7'),
        GOOD.replace(b'"tty": null', b'"tty": {"rows": 1e999, "cols": 1, "term": ""}'),
        GOOD.replace(b"1}", b"NaN}"),
        GOOD.replace(b"1}", b"-1}"),
        GOOD.replace(b"1}", b"1e9}"),
    ],
)
def test_malformed_commands_are_value_errors(payload):
    assert Command.parse(GOOD).argv == ("x",)
    with pytest.raises(ValueError):
        Command.parse(payload)


@pytest.mark.parametrize(
    "payload", [b"", b"[]", b"{}", b'{"errno": true, "text": ""}', b'{"errno": 1, "text": 1}']
)
def test_malformed_refusals_are_value_errors(payload):
    with pytest.raises(ValueError):
        Refusal.parse(payload)
