"""The bare language: what the grammar takes, what it refuses, and where errors point."""

import base64
import json
import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from xenwire.config.diagnostics import Report
from xenwire.config.parser import Text, parse_settings

GRAMMAR = Path(__file__).parent.parent / "data" / "xlcfg" / "grammar.jsonl"


def read(data):
    """Give the settings as plain values, and the report."""
    report = Report("x.cfg", data)
    found = parse_settings(data, report)
    return {key: plain(setting.value) for key, setting in found.items()}, report


def plain(value):
    return value.value if isinstance(value, Text) else [plain(item) for item in value.items]


def problems(data):
    """Give `line:column message` for each diagnostic."""
    _, report = read(data)
    return [f"{found.line}:{found.column} {found.message}" for found in report.diagnostics()]


def recorded():
    for line in GRAMMAR.read_text().splitlines():
        case = json.loads(line)
        data = case["text"].encode() if "text" in case else base64.b64decode(case["base64"])
        yield pytest.param(data, case, id=case["id"])


@pytest.mark.parametrize(("data", "case"), list(recorded()))
def test_accepts_and_refuses_what_xl_does(data, case):
    report = Report("S", data)
    found = parse_settings(data, report)
    assert report.failed is not case["ok"]
    if case["ok"]:
        assert {
            key: {
                "line": report.line(setting.value.start),
                "op": "+=" if setting.appended else "=",
                "value": as_text(plain(setting.value)),
            }
            for key, setting in found.items()
        } == case["settings"]


def as_text(value):
    return value.decode() if isinstance(value, bytes) else [as_text(item) for item in value]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        (rb'"a\tb"', b"a\tb"),
        (rb"""'\'\"'""", b"'\""),
        (rb'"\a\b\f\n\r\v\\"', b"\a\b\f\n\r\v\\"),
        (rb'"[\0101]"', b"[]"),
        (rb'"\0+12"', b""),
        (rb'"\1234y"', b"y"),
        (b'"\xff\x01"', b"\xff\x01"),
        (b"0x", b"0x"),
    ],
)
def test_values(written, value):
    assert read(b"a=" + written + b"\n")[0] == {"a": value}


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"a=1\nb=[1,\n2 3]\nc=\nd=4\n", ["3:3 expected , or ], found the number 3", 4]),
        (b'a="x\nb="y"\n', ["1:3 this string is not closed"]),
        (b"a=[1,[2,\nb=1\n", ["1:6 this list is not closed"]),
        (b"a=[1", ["1:3 this list is not closed"]),
        (b"a=1\nb=" + b"[" * 5000 + b"]" * 5000, ["2:5000 lists are nested too deeply"]),
        (b"a=1 # x", ["1:5 a comment on the last line, without a newline"]),
        (b"a=1\r\nb=2\r\n", ["1:4 a carriage return: the file has Windows line ends"]),
        (b"\xef\xbb\xbfa=1\n", ["1:1 a byte order mark"]),
        (b'a="x\0"\n', ["1:5 a NUL byte in a string"]),
        (b"a=\0x\n", ["1:3 a NUL byte"]),
        (b"a=-1\n", ["1:3 a number with a sign"]),
        (b"a=1.5\n", ["1:4 a number with a dot"]),
        (b"a=2GB\n", ["1:4 unexpected GB after a number"]),
        (b'a="\xc3\xa9" b\n', ["1:7 expected the end of the line or ;, found the word b"]),
        (b'a="b\\xff"\n', ["1:5 xl refuses every \\x escape"]),
        (b'a="b\\q"\n', ["1:5 an escape that xl does not know"]),
        (b'a="\\12"\n', ["1:4 a numeric escape that xl refuses"]),
        (b'a="\\012"\n', ["1:4 a numeric escape stands for nothing: xl drops it"]),
        (b'a="x"\na+=[1]\n', ["2:4 cannot append a list to text"]),
        (b"a=[1]\na+=1\n", ["2:4 cannot append text to a list"]),
        (b"a=1\na=2\n", ["2:1 a is set again; what line 1 says does not count"]),
        (b"a=1\n$", ["2:1 xl overlooks this last byte of the file"]),
        (b"def f(x):\n", ["1:5 expected = or +=, found the word f"]),
        (b"Name=1\n", ["1:1 unexpected Name=1"]),
        (b"a=1 \\\n", ["1:5 a backslash outside of a string"]),
    ],
)
def test_errors_point_at_the_place(data, found):
    told = problems(data)
    for got, want in zip(told, found, strict=False):
        assert got == want if isinstance(want, str) else got.startswith(f"{want}:")
    assert len(told) == len(found)


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        (b"a=True\n", "write 1; there are no words for true and false"),
        (b"a=off\n", "write 0; there are no words for true and false"),
        (b"a=hvm\n", 'put text in quotes: "hvm"'),
        (
            b"import os\n",
            "this is no Python: an xl configuration has only settings, texts, numbers and lists",
        ),
        (b"a=1,2\n", "several values are written as a list: [ 1, 2 ]"),
        (b"a=1b=2\n", "start a new line for the next setting"),
        (b"a=12g\n", "a number has no unit; text needs quotes"),
        (b'"a"=1\n', "keys are written without quotes"),
        (b"a=[1 2]\n", "put a comma between two items"),
    ],
)
def test_hints(data, hint):
    _, report = read(data)
    assert report.diagnostics()[0].hint == hint


def test_places_in_a_string_with_escapes():
    data = rb'a = "\tb\0123c\"d"'
    found = parse_settings(data, Report("x", data))["a"].value
    assert found.value == b'\tbc"d'
    assert [data[place : place + 1] for place in found.offsets()] == [b"\\", b"b", b"c", b"\\", b"d", b'"']


@pytest.mark.parametrize(
    "data",
    [
        b"a=" + b"[" * 50_000,
        b"a=" + b"[" * 50_000 + b"]" * 50_000,
        b"a+='xy'\n" * 20_000,
        b"a+=['x',]\n" * 20_000,
        b'"\\" ' * 40_000,
        b"\"'" * 40_000,
        b"$\n" * 20_000,
        b"a='" + b"\\1 5" * 40_000 + b"'",
        b"a=1\r\n" * 20_000,
        b"# " * 100_000,
    ],
    ids=[
        "open",
        "nested",
        "append",
        "append-list",
        "quote",
        "quotes",
        "bad",
        "escapes",
        "windows",
        "comments",
    ],
)
def test_hostile_input_takes_linear_time(data):
    _, report = read_quietly(data)
    assert len(report.diagnostics()) <= 42
    assert all(len(str(diagnostic)) < 1000 for diagnostic in report.diagnostics())


def read_quietly(data):
    report = Report("x.cfg", data)
    return parse_settings(data, report), report


# A second, slow reading of the facts: tokens by longest match, then recursive descent.

SHAPES = [
    ("NL", rb"\n|#[^\n]*\n"),
    ("ID", rb"[a-z][a-z0-9._]*"),
    ("VAL", rb"[0-9][0-9a-fx]*"),
    ("VAL", rb"'([^'\\\n]|\\[^\n])*'"),
    ("VAL", rb'"([^"\\\n]|\\[^\n])*"'),
    ("=", rb"\+?="),
    (",", rb","),
    ("[", rb"\["),
    ("]", rb"\]"),
    (";", rb";"),
]


def model_accepts(data):
    tokens = []
    position = 0
    while position < len(data):
        if data[position] in b" \t":
            position += 1
            continue
        matches = [(kind, m) for kind, shape in SHAPES if (m := re.compile(shape).match(data, position))]
        if not matches:
            if position == len(data) - 1:
                break
            return False
        kind, match = max(matches, key=lambda found: len(found[1][0]))
        if match[0][:1] in (b"'", b'"') and not escapes_are_good(match[0][1:-1]):
            return False
        tokens.append((kind, match[0]))
        position = match.end()
    return model_file([*tokens, ("END", b"")])


def escapes_are_good(body):
    position = 0
    while (position := body.find(b"\\", position)) >= 0:
        letter = body[position + 1 : position + 2]
        if letter in b"01234567":
            number = re.match(rb"\s*[+-]?[0-9]+", body[position + 2 : position + 5])
            if not number or len(number[0]) < 2:
                return False
            position += 2 + len(number[0])
        elif letter in b"\\'\"abfnrtv":
            position += 2
        else:
            return False
    return True


def model_file(tokens):
    kinds: dict[bytes, type] = {}
    try:
        while tokens[0][0] != "END":
            if tokens[0][0] in ("NL", ";"):
                tokens = tokens[1:]
                continue
            (_, key), (_, operator) = tokens[:2]
            assert [tokens[0][0], tokens[1][0]] == ["ID", "="]
            kind, tokens = model_value(tokens[2:])
            assert operator == b"=" or kinds.get(key, kind) is kind
            kinds[key] = kind
            assert tokens[0][0] in ("NL", ";", "END")
    except (AssertionError, ValueError):
        return False
    return True


def model_value(tokens):
    if tokens[0][0] == "VAL":
        return bytes, tokens[1:]
    assert tokens[0][0] == "["
    tokens = model_newlines(tokens[1:])
    while tokens[0][0] != "]":
        _, tokens = model_value(tokens)
        tokens = model_newlines(tokens)
        if tokens[0][0] != "]":
            assert tokens[0][0] == ","
            tokens = model_newlines(tokens[1:])
    return list, tokens[1:]


def model_newlines(tokens):
    while tokens[0][0] == "NL":
        tokens = tokens[1:]
    return tokens


FRAGMENTS = [
    *(
        b"a",
        b"b",
        b"=",
        b"=",
        b"+=",
        b"1",
        b"'x'",
        b'"y"',
        b"[",
        b"]",
        b",",
        b";",
        b"\n",
        b"\n",
        b" ",
        b"# c\n",
    ),
    *(b"'\\1 5'", b"'\\0'", b"'\\012'", b'"\\q"', b"\r", b"$", b"A", b"0xF", b"'", b'"', b"\\", b"a=1\n"),
    *(b"a=[1,", b"b=['x',\n[],]\n", b"a+=1\n", b"b+=[2]\n", b"\0", b"\xc3\xa9"),
]


@settings(max_examples=600, deadline=None)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=14).map(b"".join))
@example(b"a=1\n-")
@example(b"a=1 #")
def test_agrees_with_the_model(data):
    assert read(data)[1].failed is not model_accepts(data)


VALUES = st.recursive(
    st.binary(max_size=5).map(lambda value: value.replace(b"\0", b"")),
    lambda items: st.lists(items, max_size=4),
)
BLANK = st.sampled_from([b"", b" ", b"\t "])
GAP = st.sampled_from([b"", b" ", b"\n", b" # a ' comment ]\n"])


def written(value, draw):
    if isinstance(value, bytes):
        body = value.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b'"', b'\\"')
        return b'"' + body + b'"'
    items = [draw(GAP) + written(item, draw) + draw(GAP) for item in value]
    tail = draw(st.sampled_from([b"", b",", b",\n"])) if items else draw(GAP)
    return b"[" + b",".join(items) + tail + b"]"


@settings(max_examples=80, deadline=None)
@given(st.dictionaries(st.from_regex(rb"\A[a-z][a-z0-9._]{0,6}\Z"), VALUES, max_size=4), st.data())
def test_reads_back_what_was_written(wanted, data):
    ends = st.sampled_from([b"\n", b";", b" # end\n", b"\n\n;"])
    text = b"".join(
        key + data.draw(BLANK) + b"=" + data.draw(BLANK) + written(value, data.draw) + data.draw(ends)
        for key, value in wanted.items()
    )
    found, report = read(text)
    assert not report.diagnostics()
    assert found == {key.decode(): value for key, value in wanted.items()}


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_never_crashes(data):
    found, report = read_quietly(data)
    for diagnostic in report.diagnostics():
        assert str(diagnostic).replace("\n", "").isprintable()
        assert diagnostic.line is not None
    for setting in found.values():
        if isinstance(setting.value, Text):
            assert len(setting.value.offsets()) == len(setting.value.value) + 1
