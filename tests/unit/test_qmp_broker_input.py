"""What a client of the broker says, read as QEMU reads it. The texts are those of QEMU 7.2."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenwire.qemu.qmp.broker.access import Access
from xenwire.qemu.qmp.broker.parser import MAX_INPUT, Parser, Value
from xenwire.qemu.qmp.broker.session import Refused, Request, ServerSession, encode_event
from xenwire.qemu.qmp.session import MAX_NESTING, Event, QmpSession, Version

PARSE = "JSON parse error, "


def read(*pieces, limit=MAX_INPUT):
    """Give the values, and the texts of the errors, in their order."""
    parser, found = Parser(limit), []
    for piece in pieces:
        parser.feed(piece)
        while (item := parser.next()) is not None:
            found.append(item.value if isinstance(item, Value) else item.description)
    return found


def single_bytes(data):
    return [data[at : at + 1] for at in range(len(data))]


@pytest.mark.parametrize(
    ("data", "values"),
    [
        (b'{"a":1}{"b":[2.5,-3,1e3]}', [{"a": 1}, {"b": [2.5, -3, 1000.0]}]),
        (b' \r\n\t{"a":{"b":null}}\r\n', [{"a": {"b": None}}]),
        (b"{'it':'say \"x\\'','b':\"it's\"}", [{"it": "say \"x'", "b": "it's"}]),
        (b'"\\u00e4\\"\\\\" 42 true[]', ['ä"\\', 42, True, []]),
        ('{"ä":"\U0001f600"}'.encode(), [{"ä": "\U0001f600"}]),
        (b'{"a":"}{"}', [{"a": "}{"}]),
    ],
)
def test_messages(data, values):
    assert read(data) == read(*single_bytes(data)) == values


@pytest.mark.parametrize(
    ("data", "texts"),
    [
        (b"}", [PARSE + "expecting value"]),
        (b"{]", [PARSE + "expecting value"]),
        (b'{"a" 1}', [PARSE + "missing : in object pair"]),
        (b'{"a":}', [PARSE + "expecting value"]),
        (b'{"a":1,}', [PARSE + "expecting value"]),
        (b"{1:2}", [PARSE + "key is not a string in object"]),
        (b'{"a":1 "b"}', [PARSE + "expected separator in dict"]),
        (b'{"a":[1 2]}', [PARSE + "expected separator in list"]),
        (b'{"a":1,"a":2}', [PARSE + "duplicate key"]),
        (b"[nul]", [PARSE + "invalid keyword 'nul'"]),
        (b'{"a":NaN}', [PARSE + "stray 'N'", PARSE + "expecting value"]),
        (b'"\\q"', [PARSE + "invalid escape sequence in string"]),
        (b'"\\u12"', [PARSE + '\\u12" is not a valid Unicode character']),
        (b'"\\uffff"', [PARSE + "\\uFFFF is not a valid Unicode character"]),
        (b'"\\ud800"', [PARSE + "\\uD800 is not a valid Unicode character"]),
        (b'"\xed\xa0\x80"', [PARSE + "invalid UTF-8 sequence in string"]),
        (b"[1e400]", [PARSE + "number out of range"]),
        (b"01\n[]", [PARSE + "stray '01'", []]),
        (b"-x[]", [PARSE + "stray '-x'", []]),
        (b"truE {}", [PARSE + "invalid keyword 'tru'", PARSE + "stray 'E'", {}]),
        (b"%s\n", [PARSE + "stray '%'"]),
        (b'"a\nb\n[]', [PARSE + "stray '\"a\n'", PARSE + "invalid keyword 'b'", []]),
    ],
)
def test_errors_and_going_on(data, texts):
    """QEMU goes on at the next bracket, comma, colon or control character after what it could not read."""
    if b'"a\n' in data:
        texts = [texts[0], texts[2]]
    assert read(data + b"\n") == read(*single_bytes(data + b"\n")) == texts


@pytest.mark.parametrize("remains", [b"", b'{"execute": "query-st', b'[[["', b"'x\\", b"12", b"tru", b"@@"])
def test_a_byte_that_is_no_json_brings_the_reader_back(remains):
    """`0xFF LF` gives one error, whatever was left half said; a word before it is a message of its own."""
    *_, stray, value = read(remains, b'\xff\n{"execute":"x"}')
    assert stray.startswith(PARSE + "stray")
    assert value == {"execute": "x"}


def test_a_message_has_bounds():
    deep = b"[" * (MAX_NESTING + 1)
    assert read(deep)[0] == "JSON nesting depth limit exceeded"
    assert read(b"[" * MAX_NESTING + b"]" * MAX_NESTING) != ["JSON nesting depth limit exceeded"]
    for long in (b'"' + b"x" * 200, b"[" + b"1," * 100, b"1" * 2000, b'["' + b"\\n" * 100):
        assert "JSON token size limit exceeded" in read(*single_bytes(long), limit=100)
    assert read(b'{"a":"' + b"x" * 900_000 + b'"}') == [{"a": "x" * 900_000}]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(
        st.characters(codec="utf-8", exclude_characters="\ufffe\uffff", max_codepoint=0xFFFF), max_size=8
    ),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("ab'\"\\", max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


def is_character(text):
    return not any(0xFDD0 <= ord(c) <= 0xFDEF for c in text)


@settings(max_examples=80, deadline=None)
@given(st.lists(JSON, max_size=4), st.booleans(), st.data())
def test_whatever_is_json_however_it_is_cut(values, escaped, data):
    text = "\n".join(json.dumps(value, ensure_ascii=escaped) for value in values) + "\n"
    if not is_character(json.dumps(values, ensure_ascii=False)):
        return
    raw, pieces = text.encode(), []
    while raw:
        size = data.draw(st.integers(1, len(raw)))
        pieces.append(raw[:size])
        raw = raw[size:]
    assert read(*pieces) == values


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(list(b"{}[],:\"'\\ \n01-.eEtrunl\xff\x01%")), max_size=30).map(bytes))
def test_garbage_is_read_the_same_however_it_is_cut(data):
    assert read(data + b"\n\xff") == read(*single_bytes(data + b"\n\xff"))


# The session.

VERSION = Version(7, 2, 22, "Debian")


def session(access=Access.FULL, offered=("oob",)):
    return ServerSession(VERSION, offered, access)


def say(there, data):
    """Feed a session, and give what it answers; requests for QEMU are given as they are."""
    there.feed(data if isinstance(data, bytes) else json.dumps(data).encode())
    answers = []
    while (item := there.next()) is not None:
        if isinstance(item, Request):
            try:
                item = there.admit(item) or item
            except Refused as error:
                item = item.failure(error)
        answers.append(json.loads(item) if isinstance(item, bytes) else item)
    return answers


def negotiated(access=Access.FULL, **arguments):
    there = session(access)
    assert say(there, {"execute": "qmp_capabilities", "arguments": arguments}) == [{"return": {}}]
    return there


def test_our_own_client_understands_the_greeting():
    (greeting,) = QmpSession().feed(session().greeting())
    assert (greeting.version, greeting.capabilities) == (VERSION, {"oob"})


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (b"42 ", "QMP input must be a JSON object"),
        (b"{}", "QMP input lacks member 'execute'"),
        (b'{"execute":1}', "QMP input member 'execute' must be a string"),
        (b'{"execute":"a","arguments":3}', "QMP input member 'arguments' must be an object"),
        (b'{"execute":"a","foo":1}', "QMP input member 'foo' is unexpected"),
        (b'{"exec-oob":"a"}', "QMP input member 'exec-oob' is unexpected"),
    ],
)
def test_what_is_no_request(data, answer):
    assert say(session(), data) == [{"error": {"class": "GenericError", "desc": answer}}]


@pytest.mark.parametrize("id_", [1, 0x786C7100, -1.5, "x", None, [1, [2]], {"a": {"b": "ä"}}, True])
def test_ids_of_every_type_come_back(id_):
    (answer,) = say(session(), {"execute": "query-status", "id": id_})
    assert answer["id"] == id_
    assert answer["error"]["class"] == "CommandNotFound"
    assert answer["error"]["desc"] == "Expecting capabilities negotiation with 'qmp_capabilities'"
    (answer,) = say(session(), {"bad": 1, "id": id_})
    assert answer["id"] == id_


def test_negotiation_is_done_once():
    there = negotiated()
    (answer,) = say(there, {"execute": "qmp_capabilities", "id": 2})
    assert (answer["id"], answer["error"]["class"]) == (2, "CommandNotFound")
    assert "already complete" in answer["error"]["desc"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"enable": "oob"}, "Invalid parameter type for 'enable', expected: array"),
        ({"enable": [1]}, "Invalid parameter type for 'enable[0]', expected: string"),
        ({"enable": ["x"]}, "does not accept value 'x'"),
        ({"enablx": []}, "Parameter 'enablx' is unexpected"),
    ],
)
def test_a_negotiation_that_makes_no_sense(arguments, text):
    there = session()
    (answer,) = say(there, {"execute": "qmp_capabilities", "arguments": arguments})
    assert text in answer["error"]["desc"]
    assert not there.negotiated


def test_out_of_band_commands_only_where_enabled():
    assert not negotiated().out_of_band
    there = negotiated(enable=["oob"])
    (request,) = say(there, {"exec-oob": "query-yank", "id": 1})
    assert request.out_of_band
    (answer,) = say(there, {"exec-oob": "a", "execute": "b"})
    assert "clashes with" in answer["error"]["desc"]
    none = ServerSession(VERSION, (), Access.FULL)
    (answer,) = say(none, {"execute": "qmp_capabilities", "arguments": {"enable": ["oob"]}})
    assert "error" in answer


@pytest.mark.parametrize(
    ("command", "passes"),
    [
        ("query-status", True),
        ("qom-list", True),
        ("qom-get", False),
        ("quit", False),
        ("qom-set", False),
        ("human-monitor-command", False),
        ("getfd", False),
        ("ringbuf-read", False),
        ("queryx", False),
    ],
)
def test_a_socket_for_monitoring_only_reads(command, passes):
    (answer,) = say(negotiated(Access.MONITOR), {"execute": command, "id": 1})
    if passes:
        assert answer.command == command
    else:
        assert (answer["id"], answer["error"]["class"]) == (1, "CommandNotFound")
        assert f"{command} is not allowed here" in answer["error"]["desc"]
    (request,) = say(negotiated(), {"execute": command})
    assert request.command == command


@pytest.mark.parametrize("event", [Event("STOP", {}, 1_700_000_000.123456), Event("X", {"a": [1, "ä"]}, 5.0)])
def test_events_are_told_as_they_came(event):
    data = encode_event(event)
    assert data.isascii()
    assert list(QmpSession().feed(data)) == [event]


def test_an_event_without_a_clock():
    told = json.loads(encode_event(Event("STOP", {}, -1.000001)))
    assert told == {"timestamp": {"seconds": -1, "microseconds": -1}, "event": "STOP"}


def test_answers_are_lines_of_seven_bits():
    answer = Request("x", {}, "ä", True, False).success("ö")
    assert answer.isascii()
    assert answer.endswith(b"\r\n")
    assert json.loads(answer) == {"return": "ö", "id": "ä"}
