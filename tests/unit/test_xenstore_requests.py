"""The payload of every request, and what its replies mean."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenwire.errors import ProtocolError, UsageError
from xenwire.xenstore import Permissions, TransactionConflict, requests
from xenwire.xenstore.requests import PartialListing
from xenwire.xenstore.wire import MAX_PAYLOAD, Op

OK = b"OK\0"

# request, operation, payload, a reply, what it means
EXCHANGES = [
    (requests.read("/a"), Op.READ, b"/a\0", b"\0v\0", b"\0v\0"),
    (requests.read_text("/a"), Op.READ, b"/a\0", b"v\xc3\xa9", "vé"),
    (requests.directory("/"), Op.DIRECTORY, b"/\0", b"a\0b\0", ["a", "b"]),
    (requests.directory("/"), Op.DIRECTORY, b"/\0", b"", []),
    (requests.write("a", b"\0\xff\0"), Op.WRITE, b"a\0\0\xff\0", OK, None),
    (requests.write("/a", "é"), Op.WRITE, b"/a\0\xc3\xa9", OK, None),
    (requests.write("/a", b""), Op.WRITE, b"/a\0", OK, None),
    (requests.mkdir("/a/b"), Op.MKDIR, b"/a/b\0", OK, None),
    (requests.rm("/a"), Op.RM, b"/a\0", OK, None),
    (requests.get_perms("/a"), Op.GET_PERMS, b"/a\0", b"n0\0r5\0", Permissions.parse("n0", "r5")),
    (requests.set_perms("/a", Permissions.parse("b1", "w2")), Op.SET_PERMS, b"/a\0b1\0w2\0", OK, None),
    (requests.watch("@releaseDomain", "7"), Op.WATCH, b"@releaseDomain\x007\0", OK, None),
    (requests.unwatch("/a", "7"), Op.UNWATCH, b"/a\x007\0", OK, None),
    (requests.transaction_start(), Op.TRANSACTION_START, b"\0", b"4294967295\0", 0xFFFFFFFF),
    (requests.transaction_end(commit=True), Op.TRANSACTION_END, b"T\0", OK, None),
    (requests.transaction_end(commit=False), Op.TRANSACTION_END, b"F\0", OK, None),
    (requests.domain_path(3), Op.GET_DOMAIN_PATH, b"3\0", b"/local/domain/3\0", "/local/domain/3"),
    (requests.introduce(3, 4, 5), Op.INTRODUCE, b"3\x004\x005\0", OK, None),
    (requests.release(3), Op.RELEASE, b"3\0", OK, None),
    (requests.is_introduced(3), Op.IS_DOMAIN_INTRODUCED, b"3\0", b"T\0", True),
    (requests.is_introduced(3), Op.IS_DOMAIN_INTRODUCED, b"3\0", b"F\0", False),
    (requests.control("print", "x"), Op.CONTROL, b"print\0x\0", b"done\0", "done"),
]

MALFORMED = [
    (requests.read_text("/a"), b"\xff"),
    (requests.directory("/"), b"a"),
    (requests.directory("/"), b"\xff\0"),
    (requests.get_perms("/a"), b""),
    (requests.get_perms("/a"), b"x0\0"),
    (requests.get_perms("/a"), b"n0\0r99999\0"),
    (requests.transaction_start(), b"0\0"),
    (requests.transaction_start(), b"-1\0"),
    (requests.transaction_start(), b"4294967296\0"),
    (requests.transaction_start(), b"OK\0"),
    (requests.domain_path(3), b"//\0"),
    (requests.is_introduced(3), b"OK\0"),
]


@pytest.mark.parametrize(("request_", "op", "payload", "reply", "value"), EXCHANGES)
def test_exchange(request_, op, payload, reply, value):
    assert (request_.op, request_.payload) == (op, payload)
    assert request_.value(reply) == value


@pytest.mark.parametrize(("request_", "reply"), MALFORMED)
def test_malformed_reply(request_, reply):
    with pytest.raises(ProtocolError):
        request_.value(reply)


@pytest.mark.parametrize("path", ["", "/a/", "//a", "/a//b", "a b", "/a\0", "/a\n", "/é"])
def test_what_is_no_path_is_never_sent(path):
    for make in (requests.read, requests.directory, requests.mkdir, requests.rm, requests.get_perms):
        with pytest.raises(UsageError):
            make(path)
    with pytest.raises(UsageError):
        requests.write(path, b"")
    with pytest.raises(UsageError):
        requests.watch(path, "1")


@pytest.mark.parametrize("words", [(), ("print", "a\0b")])
def test_what_is_no_control_command_is_never_sent(words):
    with pytest.raises(UsageError):
        requests.control(*words)


def directory_part(generation, names, offset):
    """Answer as C xenstored does: whole names up to the frame's size, one NUL more after the last name."""
    listing = b"".join(name.encode() + b"\0" for name in names)
    head = str(generation).encode() + b"\0"
    room = MAX_PAYLOAD - len(head) - 1
    piece = listing[offset : offset + room]
    piece = piece[: piece.rfind(b"\0") + 1]
    return head + piece + (b"\0" if offset + len(piece) >= len(listing) else b"")


def walk(listing, answer):
    pieces = 0
    while not listing.done:
        path, offset, _ = listing.request().payload.split(b"\0")
        assert path == b"/d"
        listing.add(answer(pieces, int(offset)))
        pieces += 1
    return pieces


names_ = st.lists(st.text("ab-9", min_size=1, max_size=200), max_size=150, unique=True)


@settings(max_examples=60)
@given(names_, names_, st.integers(0, 4))
def test_partial_listing_gives_the_names_of_one_generation(before, after, change):
    listing = PartialListing("/d")

    def answer(piece, offset):
        changed = piece >= change
        return directory_part(8 if changed else 7, after if changed else before, offset)

    pieces = walk(listing, answer)
    assert listing.names == (after if pieces > change else before)


def test_partial_listing_that_ends_with_the_frame():
    names = ["x" * 2045, "y" * 2046]  # with "7|" and the last NUL exactly 4096 bytes
    reply = directory_part(7, names, 0)
    assert len(reply) == MAX_PAYLOAD
    listing = PartialListing("/d")
    listing.add(reply)
    assert listing.done
    assert listing.names == names


def test_partial_listing_gives_up_on_a_node_that_never_rests():
    def answer(piece, offset):
        return directory_part(piece, ["x" * 2000] * 3, offset)

    with pytest.raises(TransactionConflict):
        walk(PartialListing("/d"), answer)


@pytest.mark.parametrize("reply", [b"", b"7", b"7\0", b"7\0abc"])
def test_partial_listing_without_progress_is_a_protocol_error(reply):
    with pytest.raises(ProtocolError):
        PartialListing("/d").add(reply)
