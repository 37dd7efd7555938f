import os
import uuid
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenwire.errors import ProtocolError
from xenwire.xl.listing import Flag, parse_table

DATA = Path(__file__).parent.parent / "data" / "xl"
TABLE = (DATA / "list.txt").read_bytes()
HEADER = TABLE.splitlines(keepends=True)[0]


def test_the_table():
    domains = parse_table(TABLE)
    assert [(d.domid, d.name, d.memory, d.vcpus, d.seconds) for d in domains] == [
        (0, "Domain-0", 1500, 2, 767.1),
        (16, "off", 128, 1, 42.3),
        (17, "crash", 128, 1, 40.5),
        (18, "hvm guest", 128, 1, 3.1),
    ]
    assert [d.flags for d in domains] == [Flag.RUNNING, Flag.PAUSED, Flag.SHUTDOWN | Flag.CRASHED, Flag(0)]
    assert domains[0].uuid == uuid.UUID(int=0)
    assert domains[3].uuid == uuid.UUID("b9468df8-b4c2-4e12-8500-55a587302d75")


def row(domid, name, memory, vcpus, flags, seconds, uuid):
    """Print a row as xl_list.c does."""
    letters = "".join(letter if flag in flags else "-" for letter, flag in zip("rbpscd", Flag, strict=True))
    start = os.fsencode(name).ljust(40)
    return (
        start
        + f" {domid:5} {memory:5} {vcpus:5}     {letters}  {seconds:8.1f}".encode()
        + (f" {uuid} {'-':>8} {'-':>16}\n".encode())
    )


@pytest.mark.parametrize(
    ("letter", "crashed"), [*((letter, False) for letter in "-rsS?"), ("c", True), ("w", True)]
)
def test_why_it_has_shut_down(letter, crashed):
    name = b"g".ljust(40)
    line = name + f" {4:5} {256:5} {1:5}     ---s{letter}-  {0.4:8.1f}".encode()
    (domain,) = parse_table(HEADER + line + f" {uuid.UUID(int=4)} {'-':>8} {'-':>16}\n".encode())
    assert domain.flags == (Flag.SHUTDOWN | Flag.CRASHED if crashed else Flag.SHUTDOWN)


ROWS = st.lists(
    st.tuples(
        st.integers(0, 0x7FEF),
        st.binary(max_size=80).filter(lambda n: b"\0" not in n).map(lambda n: os.fsdecode(n.rstrip(b" "))),
        st.integers(0, 10**7),
        st.integers(0, 512),
        st.sets(st.sampled_from(list(Flag))),
        st.integers(0, 10**8).map(lambda tenths: tenths / 10),
        st.uuids(),
    ),
    max_size=5,
)


@settings(max_examples=100)
@given(ROWS)
def test_any_name_any_state(rows):
    domains = parse_table(HEADER + b"".join(row(*values) for values in rows))
    found = [(d.domid, d.name, d.memory, d.vcpus, set(d.flags), d.seconds, d.uuid) for d in domains]
    assert found == rows


@settings(max_examples=200)
@given(st.binary(max_size=40), st.integers(0, len(TABLE)), st.integers(0, 40))
def test_a_damaged_table_is_read_or_refused(noise, place, cut):
    try:
        domains = parse_table(TABLE[:place] + noise + TABLE[place + cut :])
    except ProtocolError:
        return
    assert all(d.domid >= 0 for d in domains)


@pytest.mark.parametrize(
    "output", [b"", b"Name ID\n", TABLE + b"more", TABLE.replace(b"   17 ", b"65535 "), TABLE[:-1]]
)
def test_nonsense_is_no_table(output):
    with pytest.raises(ProtocolError):
        parse_table(output)
