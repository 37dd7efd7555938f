"""What xl says about the syntax of a text: compared with the real xl's words."""

import base64
import ctypes
import json
import random
import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from xenwire.config.diagnostics import Report
from xenwire.config.parser import parse_settings
from xenwire.config.xl_syntax import Syntax, syntax_messages

GOLDEN = Path(__file__).parent.parent / "data" / "xlcfg"
HEAD = b"Parsing config from %s\n"
TAIL = b"Failed to parse config: Invalid argument\n"


def recorded():
    for line in (GOLDEN / "grammar.jsonl").read_text().splitlines():
        case = json.loads(line)
        data = case["text"].encode() if "text" in case else base64.b64decode(case["base64"])
        messages = [message.encode() for message in case.get("messages", [])]
        if "messages_base64" in case:
            messages = base64.b64decode(case["messages_base64"]).splitlines()
        yield pytest.param(data, case["ok"], messages, id=case["id"])


@pytest.mark.parametrize(("data", "ok", "messages"), list(recorded()))
def test_says_what_libxlutil_says(data, ok, messages):
    assert syntax_messages(data, b"S") == Syntax(messages, crashes=False)
    assert ok is not bool(messages)


def refused():
    """Give what `xl create -n` was given where it did not get beyond the syntax, and what it printed."""
    for path in sorted(GOLDEN.glob("*.err")):
        status, _, printed = path.read_bytes().partition(b"\n")
        if status == b"exit=1" and printed.endswith(TAIL):
            yield pytest.param(path.with_suffix(".cfg"), printed, id=path.stem)


@pytest.mark.parametrize(("path", "printed"), list(refused()))
def test_says_what_xl_says(path, printed):
    data = path.read_bytes()
    arguments = path.with_suffix(".args")
    if arguments.exists():
        data += b"\n%s\n" % arguments.read_bytes()
    source = path.name.encode()
    lines = [line + b"\n" for line in syntax_messages(data, source).messages]
    assert b"".join([HEAD % source, *lines, TAIL]) == printed


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.stem)
def test_accepts_what_xl_accepts(path):
    assert syntax_messages(path.with_suffix(".cfg").read_bytes(), b"S") == Syntax([], crashes=False)


LEXICAL = "lexical error"
NO_STATEMENT = "syntax error, unexpected {}, expecting $end or IDENT or NEWLINE or ';'"
NO_OPERATOR = "syntax error, unexpected {}, expecting += or '='"
NO_VALUE = "syntax error, unexpected {}, expecting STRING or NUMBER or '['"


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        # C's strings end at a NUL byte
        (b"a=$\0x y\n", [(1, "`$'", LEXICAL)]),
        (b"a=\0x y\n", [(1, "`'", LEXICAL)]),
        (b"a# b\0c \n", [(0, "`# b'", NO_OPERATOR.format("NEWLINE"))]),
        # a last byte that starts no token is only seen in another message
        (b"a=\0", [(1, "`'", NO_VALUE.format("$end"))]),
        (b"a=\n\n\n$", [(0, "<newline>", NO_VALUE.format("NEWLINE"))]),
        (b"a\t\n \t", [(0, "<newline>", NO_OPERATOR.format("NEWLINE"))]),
        # a bad byte before a newline hides what is wrong with the next line
        (b"a=1 $\nb c\nd e\n", [(1, "`$'", LEXICAL)]),
        (b"a=1 $\nb c\n\n\nd e\n", [(1, "`$'", LEXICAL), (5, "`e'", NO_OPERATOR.format("IDENT"))]),
        # an error of syntax is not told until three tokens have been taken, the newline among them
        (b"= =\n= =\n", [(1, "`='", NO_STATEMENT.format("'='"))]),
        (b"=\n;+=\n", [(1, "`='", NO_STATEMENT.format("'='"))]),
        (b"=\n;;+=\n", [(1, "`='", NO_STATEMENT.format("'='")), (2, "`+='", NO_STATEMENT.format("+="))]),
        # kinds are not compared after an error
        (b"a=1\nb\na+=[]\n", [(1, "<newline>", NO_OPERATOR.format("NEWLINE"))]),
    ],
)
def test_corners(data, wanted):
    assert syntax_messages(data, b"S").messages == [
        f"S:{line}: config parsing error near {near}: {what}".encode() for line, near, what in wanted
    ]


@pytest.mark.parametrize(
    ("data", "count"), [(b"[\n-", 4), (b"a=1\n-", 0), (b"[ - ", 5), (b"[ ,", 1), (b"[+=", 1)]
)
def test_takes_some_bytes_for_python(data, count):
    assert len(syntax_messages(data, b"S").messages) == count


@pytest.mark.parametrize(
    ("data", "assertion"),
    [
        (b'a="x\0y"\n', b"607: xlu__cfgl_dequote: Assertion `len>=2 && src[0]==src[len-1]' failed."),
        (b"'\0'", b"607: xlu__cfgl_dequote: Assertion `len>=2 && src[0]==src[len-1]' failed."),
        (b'a="x\\"\0y"\n', b"619: xlu__cfgl_dequote: Assertion `p < src+len-1' failed."),
    ],
)
def test_crashes_on_a_nul_byte_in_a_string(data, assertion):
    assert syntax_messages(data, b"S") == Syntax([b"xl: libxlu_cfg.c:" + assertion], crashes=True)


@pytest.mark.parametrize("data", [b"a b\n'\0'", b"$ '\0'", b'"\\q\\"\0"'])
def test_survives_a_nul_byte_after_an_error(data):
    syntax = syntax_messages(data, b"S")
    assert syntax.messages
    assert not syntax.crashes


@pytest.mark.parametrize(
    ("opened", "rest", "near"),
    [
        (b"[" * 4996, b"", None),
        (b"[" * 4997, b"", b"`]'"),
        (b"[" * 4998, b"", b"`['"),
        (b"[" * 4996, b"1\n,", None),
        (b"[" * 4996, b"1,\n", b"<newline>"),
        (b"[" * 4996, b"1,2", b"`2'"),
        (b"[" * 4997, b"1", b"`1'"),
        (b"[1," + b"[" * 4994, b"\n", None),
        (b"[1," + b"[" * 4994, b"1", None),
        (b"[1," + b"[" * 4994, b"1\n", b"<newline>"),
        (b"[1," + b"[" * 4994, b"1,", b"`,'"),
        (b"[1," + b"[" * 4995, b"\n", b"<newline>"),
        (b"[1," + b"[" * 4995, b";", b"`;'"),
        (b"[1," * 1999, b"", None),
        (b"[1," * 1999, b"2", b"`2'"),
        (b"[1," * 2000, b"", b"`['"),
        (b"[1," * 1998, b"2,3,[4]\n", None),
    ],
)
def test_room_for_nested_lists(opened, rest, near):
    data = b"a=" + opened + rest + b"]" * opened.count(b"[")
    report = Report("x", data)
    parse_settings(data, report)
    messages = syntax_messages(data, b"S").messages
    assert report.failed is (near is not None)
    if near is None:
        assert not messages
    else:
        line = 0 if near == b"<newline>" else 1
        assert messages == [b"S:%d: config parsing error near %s: memory exhausted" % (line, near)]


FRAGMENTS = [
    *(b"a", b"b", b"=", b"=", b"+=", b"1", b"'x'", b'"y"', b"[", b"]", b",", b";", b"\n", b"\n", b" ", b"\t"),
    *(b"# c\n", b"#", b"'\\1 5'", b"'\\0'", b"'\\012'", b'"\\q"', b'"\\x41"', b'"\\q\\"\0"', b"\0", b"'\0'"),
    *(b"\r", b"$", b"$\n", b"A", b"-", b"(", b"0xF", b"'", b'"', b"\\", b"\xc3\xa9", b"a=foo\n", b"a=1\n"),
    *(b"a=[1,", b"b=['x',\n[],]\n", b"a+=1\n", b"b+=[2]\n"),
]


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=20).map(b"".join) | st.binary(max_size=40))
@example(b"a=1 #")
@example(b"a=1\n-")
@example(b"a=[\n]\na+=1\n")
def test_agrees_with_our_own_parser(data):
    report = Report("S", data)
    parse_settings(data, report)
    messages = syntax_messages(data, b"S").messages
    assert report.failed is bool(messages)
    assert not any(b"\n" in message for message in messages)


@pytest.mark.parametrize(
    "piece",
    [
        b"a=[",
        b"a=[[1]],",
        b"$ ",
        b"$\n",
        b"# ",
        b"\0",
        b"\"'",
        b'" ',
        b'"\\" ',
        b"a+=1\n",
        b"a+=[1]\n",
        b";",
        b"=\n",
    ],
)
def test_takes_linear_time(piece):
    short, long = piece * 500, piece * 5_000
    assert taken(long) < 30 * taken(short) + 0.1


def taken(data):
    started = time.process_time()
    syntax_messages(data, b"S")
    return time.process_time() - started


@pytest.mark.soak
def test_agrees_with_the_real_libxlutil():
    try:
        library = ctypes.CDLL("libxlutil.so.4.17")
    except OSError as error:
        pytest.skip(f"xl's own parser is not here (Debian 12 has it in libxenmisc4.17): {error}")
    draw = random.Random()
    for _ in range(100_000):
        data = b"".join(draw.choice(FRAGMENTS) for _ in range(draw.randrange(30)))
        syntax = syntax_messages(data, b"S")
        if not syntax.crashes:
            assert real_messages(library, data) == syntax.messages, data


def real_messages(library, data):
    """Read a text with xl's own parser, and give what it prints."""
    c = ctypes.CDLL(None)
    pointer = ctypes.c_void_p
    c.open_memstream.restype = library.xlu_cfg_init.restype = pointer
    printed, size = pointer(), ctypes.c_size_t()
    stream = pointer(c.open_memstream(ctypes.byref(printed), ctypes.byref(size)))
    config = pointer(library.xlu_cfg_init(stream, b"S"))
    failed = library.xlu_cfg_readdata(config, data, len(data)) != 0
    library.xlu_cfg_destroy(config)
    c.fclose(stream)
    lines = ctypes.string_at(printed, size.value).split(b"\n")[:-1]
    c.free(printed)
    assert failed is bool(lines), data
    return lines
