"""The wire format: lines out of a stream, replies out of lines, typed values out of replies."""

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenwire.agent import AgentError, ExecResult, results
from xenwire.agent.protocol import Decoder, encode, encode_sync, parse
from xenwire.errors import ProtocolError


def lines(decoder, limit=1000):
    return list(iter(lambda: decoder.next_line(limit), None))


def test_requests():
    assert encode("guest-ping") == b'{"execute": "guest-ping"}\n'
    assert json.loads(encode("x", {"path": "é\n"})) == {"execute": "x", "arguments": {"path": "é\n"}}
    sync = encode_sync(7)
    assert sync[:1] == b"\xff"
    assert json.loads(sync[1:]) == {"execute": "guest-sync-delimited", "arguments": {"id": 7}}


def test_decoder_starts_out_of_step():
    decoder = Decoder()
    decoder.feed(b'{"return": 1}\n')
    assert decoder.hunting
    assert lines(decoder) == []
    decoder.feed(b'old\xff{"return": 2}\r\n\n{"ret')
    assert lines(decoder) == [b'{"return": 2}']
    decoder.feed(b"urn\n")
    assert lines(decoder) == [b'{"return']


def test_hunting_forgets_up_to_the_next_sentinel():
    decoder = Decoder()
    decoder.feed(b"\xffa\xffb\nc\xffd\n")
    decoder.hunt()
    assert lines(decoder) == [b"b", b"c\xffd"]
    decoder.feed(b"half")
    decoder.hunt()
    assert decoder.hunting
    decoder.feed(b" a line\n\xffnew\n")
    assert lines(decoder) == [b"new"]


@pytest.mark.parametrize("data", [b"x" * 11, b"x" * 11 + b"\n"])
def test_a_long_line_is_refused(data):
    decoder = Decoder()
    decoder.feed(b"\xff" + data)
    with pytest.raises(ProtocolError, match="too long"):
        decoder.next_line(10)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([b"\xff", b"\n", b"a", b"bc", b" ", b"\xff\xff"])), st.data())
def test_decoder_agrees_with_the_model_however_the_stream_is_cut(parts, data):
    stream = b"".join(parts)
    _, found, rest = stream.partition(b"\xff")
    wanted = [line.strip() for line in rest.split(b"\n")[:-1] if line.strip()] if found else []
    decoder = Decoder()
    got = []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        decoder.feed(stream[:cut])
        stream = stream[cut:]
        got += lines(decoder)
    assert got == wanted
    assert decoder.hunting is not bool(found)


def test_replies():
    assert parse(b'{"return": {"a": 1}}', "c") == {"a": 1}
    assert parse(b'{"return": null, "id": 1}', "c") is None
    with pytest.raises(AgentError) as caught:
        parse(b'{"error": {"class": "CommandNotFound", "desc": "no \\u001b[2J"}}', "c")
    assert (caught.value.error_class, caught.value.description) == ("CommandNotFound", "no \x1b[2J")
    assert str(caught.value) == "the guest agent cannot do c: no \ufffd[2J"


@pytest.mark.parametrize(
    "line",
    [
        b"[1]",
        b"7",
        b"null",
        b"{}",
        b'{"return": 1',
        b'{"return": 1} {"return": 1}',
        b'{"error": "no"}',
        b'{"error": {"class": 1, "desc": "x"}}',
        b'{"error": {"class": "x"}}',
        b'{"event": "x"}',
        b'\xff{"return": 1}',
        b'{"return": "\xe9"}',
        b'{"return": ' + b"9" * 5000 + b"}",
        b"[" * 9_000,
        b'{"return": [' + b"0," * 20_000 + b"0]}",
        b'{"return":\0 1}',
    ],
)
def test_nonsense_is_a_protocol_error(line):
    with pytest.raises(ProtocolError):
        parse(line, "c")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
MEMBERS = st.sampled_from(
    [
        *("version", "supported_commands", "name", "enabled", "id", "pretty-name", "host-name", "return"),
        *("pid", "exited", "exitcode", "signal", "out-data", "err-data", "out-truncated"),
    ]
)


def read_system(value):
    return results.read_info("7.2", (), system=value, host=None, time=None)


def read_host(value):
    return results.read_info("7.2", (), system=None, host=value, time=None)


def read_time(value):
    return results.read_info("7.2", (), system=None, host=None, time=value)


READERS = [
    results.read_commands,
    results.read_exec_status,
    results.read_pid,
    read_host,
    read_system,
    read_time,
]


@pytest.mark.parametrize("reader", READERS)
@settings(max_examples=60, deadline=None)
@given(value=JSON | st.dictionaries(MEMBERS, JSON))
def test_values_of_wrong_types_are_protocol_errors(reader, value):
    try:
        result = reader(value)
    except ProtocolError:
        return
    assert "\ud800" not in repr(result)


COMMANDS = {"version": "7.2", "supported_commands": [{"name": "b", "enabled": True}]}


@pytest.mark.parametrize(
    ("reader", "value"),
    [
        (results.read_commands, {**COMMANDS, "version": 7}),
        (results.read_commands, {**COMMANDS, "supported_commands": {}}),
        (results.read_commands, {**COMMANDS, "supported_commands": ["b"]}),
        (results.read_commands, {**COMMANDS, "supported_commands": [{"name": "b", "enabled": 1}]}),
        (results.read_commands, {**COMMANDS, "supported_commands": [{"name": None, "enabled": True}]}),
        (read_system, {"id": 5}),
        (read_system, []),
        (read_host, {"host-name": ["x"]}),
        (read_host, {"host-name": "\udcff"}),
        (read_time, True),
        (read_time, 1.5),
        (read_time, 2**63),
        (results.read_pid, {"pid": "1"}),
        (results.read_pid, {"pid": True}),
        (results.read_exec_status, {"exited": 1}),
        (results.read_exec_status, {"exited": True}),
        (results.read_exec_status, {"exited": True, "exitcode": 0, "signal": 9}),
        (results.read_exec_status, {"exited": True, "exitcode": "0"}),
        (results.read_exec_status, {"exited": True, "exitcode": 0, "out-data": "%%%"}),
        (results.read_exec_status, {"exited": True, "exitcode": 0, "err-data": "é"}),
        (results.read_exec_status, {"exited": True, "exitcode": 0, "out-truncated": "yes"}),
    ],
)
def test_each_field_is_checked(reader, value):
    with pytest.raises(ProtocolError):
        reader(value)


def test_good_values():
    hidden = {"name": "a", "enabled": False, "success-response": True}
    commands = {"version": "7.2", "supported_commands": [*COMMANDS["supported_commands"], hidden]}
    assert results.read_commands(commands) == ("7.2", ("b",))
    assert read_system({"id": "debian", "new": 1}).os_id == "debian"
    assert read_host({"host-name": "a\x1b[2J\u202eb"}).host_name == "a\ufffd[2J\ufffdb"
    assert len(read_host({"host-name": "x" * 5000}).host_name) == 200
    assert read_time(-1).time_ns == -1
    assert results.read_exec_status({"exited": False}) is None
    out = base64.b64encode(b"\0\xff").decode()
    assert results.read_exec_status(
        {"exited": True, "signal": 9, "out-data": out, "out-truncated": True}
    ) == ExecResult(None, 9, b"\0\xff", b"", stdout_truncated=True, stderr_truncated=False)
