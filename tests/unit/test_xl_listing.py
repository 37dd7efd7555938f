import json
import os
import uuid
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenwire.errors import ProtocolError
from xenwire.xl.listing import Flag, parse_configs, parse_table

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


def test_configurations():
    (pv,) = parse_configs((DATA / "pv.list.json").read_bytes())
    (pvh,) = parse_configs((DATA / "pvh.list.json").read_bytes())
    assert (pv.name, pv.type, pv.domid) == ("live-pv", "pv", 4)
    assert pv.uuid == uuid.UUID("5aff0001-1c2d-4e3f-8a9b-c0ffee00ffff")
    assert [channel["name"] for channel in pv.config["channels"]] == ["org.example.agent.1", "log"]
    assert (pvh.name, pvh.type) == ("live-pvh", "pvh")


def test_domain_0_has_no_uuid_and_a_name_may_be_no_text():
    general = {"type": "pv", "name": "NAME"}
    output = json.dumps([{"domid": 0, "config": {"c_info": general}}]).encode().replace(b"NAME", b"\xff")
    (found,) = parse_configs(output)
    assert found.uuid is None
    assert os.fsencode(found.name) == b"\xff"


def with_general(**values):
    general = {"type": "pv", "name": "a", **values}
    return json.dumps([{"domid": 1, "config": {"c_info": general}}]).encode()


@pytest.mark.parametrize(
    "output",
    [
        b"",
        b"{}x",
        b"[1]",
        b"17",
        b"[" * 100_000,
        b'[{"domid": 1}]',
        b'[{"domid": 99999, "config": {"c_info": {"name": "a", "type": "pv"}}}]',
        b'[{"domid": 1, "config": []}]',
        with_general(name=5),
        with_general(type=None),
        with_general(uuid="5aff"),
        with_general(uuid=[]),
    ],
)
def test_nonsense_is_no_configuration(output):
    with pytest.raises(ProtocolError):
        parse_configs(output)
