"""Every message type, byte for byte; and: decoding gives what was encoded, however the stream is cut."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenwire.errors import ProtocolError
from xenwire.xenstore.wire import ERROR_NAMES, MAX_PAYLOAD, Decoder, Frame, Op, error_number, join

# type, req_id, tx_id, length as little-endian u32, then the payload (xs_wire.h)
GOLDEN = [
    ("00000000 01000000 00000000 05000000 68656c7000", Frame(Op.CONTROL, 1, 0, b"help\0")),
    ("01000000 02000000 00000000 02000000 2f00", Frame(Op.DIRECTORY, 2, 0, b"/\0")),
    ("02000000 03000000 07000000 03000000 2f6100", Frame(Op.READ, 3, 7, b"/a\0")),
    ("03000000 04000000 00000000 02000000 6100", Frame(Op.GET_PERMS, 4, 0, b"a\0")),
    ("04000000 05000000 00000000 05000000 2f61003100", Frame(Op.WATCH, 5, 0, b"/a\x001\0")),
    ("05000000 06000000 00000000 05000000 2f61003100", Frame(Op.UNWATCH, 6, 0, b"/a\x001\0")),
    ("06000000 07000000 00000000 01000000 00", Frame(Op.TRANSACTION_START, 7, 0, b"\0")),
    ("07000000 08000000 2a000000 02000000 5400", Frame(Op.TRANSACTION_END, 8, 42, b"T\0")),
    ("08000000 09000000 00000000 06000000 330034003500", Frame(Op.INTRODUCE, 9, 0, b"3\x004\x005\0")),
    ("09000000 0a000000 00000000 02000000 3300", Frame(Op.RELEASE, 10, 0, b"3\0")),
    ("0a000000 0b000000 00000000 02000000 3300", Frame(Op.GET_DOMAIN_PATH, 11, 0, b"3\0")),
    ("0b000000 0c000000 00000000 06000000 2f610000ff00", Frame(Op.WRITE, 12, 0, b"/a\0\0\xff\0")),
    ("0c000000 0d000000 00000000 03000000 2f6100", Frame(Op.MKDIR, 13, 0, b"/a\0")),
    ("0d000000 0e000000 00000000 03000000 2f6100", Frame(Op.RM, 14, 0, b"/a\0")),
    ("0e000000 0f000000 00000000 09000000 2f61006e3000723500", Frame(Op.SET_PERMS, 15, 0, b"/a\0n0\0r5\0")),
    ("0f000000 00000000 00000000 05000000 2f61003100", Frame(Op.WATCH_EVENT, 0, 0, b"/a\x001\0")),
    ("10000000 03000000 07000000 07000000 454e4f454e5400", Frame(Op.ERROR, 3, 7, b"ENOENT\0")),
    ("11000000 10000000 00000000 02000000 3300", Frame(Op.IS_DOMAIN_INTRODUCED, 16, 0, b"3\0")),
    ("12000000 11000000 00000000 02000000 3300", Frame(Op.RESUME, 17, 0, b"3\0")),
    ("13000000 12000000 00000000 04000000 33003400", Frame(Op.SET_TARGET, 18, 0, b"3\x004\0")),
    ("15000000 13000000 00000000 00000000", Frame(Op.RESET_WATCHES, 19, 0, b"")),
    ("16000000 14000000 00000000 05000000 2f61003000", Frame(Op.DIRECTORY_PART, 20, 0, b"/a\x000\0")),
    ("17000000 15000000 00000000 02000000 3300", Frame(Op.GET_FEATURE, 21, 0, b"3\0")),
    ("18000000 16000000 00000000 04000000 33003700", Frame(Op.SET_FEATURE, 22, 0, b"3\x007\0")),
    ("19000000 17000000 00000000 00000000", Frame(Op.GET_QUOTA, 23, 0, b"")),
    (
        "1a000000 ffffffff 00000000 08000000 6e6f646573003900",
        Frame(Op.SET_QUOTA, 0xFFFFFFFF, 0, b"nodes\x009\0"),
    ),
]
BYTES = [(bytes.fromhex(text), frame) for text, frame in GOLDEN]

frames = st.builds(
    Frame,
    st.integers(0, 0xFFFFFFFF),
    st.integers(0, 0xFFFFFFFF),
    st.integers(0, 0xFFFFFFFF),
    st.binary(max_size=40) | st.binary(min_size=MAX_PAYLOAD, max_size=MAX_PAYLOAD),
)


def test_golden_frames_cover_every_operation():
    assert {frame.type for _, frame in BYTES} == set(Op)


@pytest.mark.parametrize(
    ("data", "frame"), BYTES, ids=lambda value: Op(value.type).name if isinstance(value, Frame) else ""
)
def test_golden_frame(data, frame):
    assert frame.encode() == data
    assert list(Decoder().feed(data)) == [frame]


def test_golden_frames_byte_by_byte():
    decoder = Decoder()
    stream = b"".join(data for data, _ in BYTES)
    assert [f for i in range(len(stream)) for f in decoder.feed(stream[i : i + 1])] == [f for _, f in BYTES]
    assert not decoder.partial


@settings(max_examples=60)
@given(st.lists(frames, max_size=5), st.lists(st.integers(0, 25000), max_size=8))
def test_any_split_gives_the_frames(sent, cuts):
    stream = b"".join(frame.encode() for frame in sent)
    ends = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    decoder = Decoder()
    got = [f for start, end in pairwise(ends) for f in decoder.feed(stream[start:end])]
    assert got == sent
    assert not decoder.partial


@settings(max_examples=200)
@given(st.lists(st.binary(max_size=64), max_size=6))
def test_no_bytes_break_the_decoder_otherwise_than_by_protocol_error(chunks):
    decoder = Decoder()
    try:
        for chunk in chunks:
            for frame in decoder.feed(chunk):
                assert len(frame.payload) <= MAX_PAYLOAD
    except ProtocolError as error:
        assert error.context["length"] > MAX_PAYLOAD


def test_longest_payload():
    frame = Frame(Op.WRITE, 1, 0, bytes(MAX_PAYLOAD))
    assert list(Decoder().feed(frame.encode())) == [frame]
    with pytest.raises(ValueError, match="4097 bytes"):
        Frame(Op.WRITE, 1, 0, bytes(MAX_PAYLOAD + 1)).encode()


def test_too_long_a_payload_is_refused_at_its_header():
    good = Frame(Op.READ, 1, 0, b"/\0")
    decoder, got = Decoder(), []
    with pytest.raises(ProtocolError, match="4097 bytes"):
        got.extend(decoder.feed(good.encode() + bytes.fromhex("02000000 01000000 00000000 01100000")))
    assert got == [good]


def test_partial_frame_is_reported():
    decoder = Decoder()
    assert list(decoder.feed(b"\0" * 5)) == []
    assert decoder.partial


def test_join():
    assert join("a", b"\xff", "") == b"a\0\xff\0\0"
    assert join() == b""


def test_error_numbers_are_those_of_the_names():
    assert [error_number(name) for name in ERROR_NAMES] == [
        22, 13, 17, 21, 2, 12, 28, 5, 39, 38, 30, 16, 11, 106, 7, 1,
    ]  # fmt: skip
    assert error_number("EQUOTA") == error_number("EPIPE") == 22
