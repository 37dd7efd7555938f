"""Typed reading of settings (xen: tools/libs/util/libxlu_cfg.c): values, xl's words, and ours."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenwire.config.diagnostics import ConfigError, Report
from xenwire.config.parser import Items, Text, parse_settings
from xenwire.config.xl.facts import HostFacts
from xenwire.config.xl.reader import MAX_SIZE, Reader, decoded, open_settings


def reader(text):
    report = Report("dir/f", text)
    return Reader(parse_settings(text, report), report, HostFacts())


NOT_VALID = "parameter `k' is not a valid number"
RANGE = "parameter `k' could not be parsed as a number: Numerical result out of range"


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("0", 0),
        ("512", 512),
        ('"512"', 512),
        ('" 7"', 7),
        ('"\\t\\n\\v\\f\\r 7"', 7),
        ('"+3"', 3),
        ('"-50"', -50),
        ("010", 8),
        ("0x1f", 31),
        ('"0XFF"', 255),
        ('"-0x10"', -16),
        ("9223372036854775807", 2**63 - 1),
        ('"-9223372036854775808"', -(2**63)),
        ("000000000000000000000000000000000000000000001", 1),
    ],
)
def test_numbers(written, number):
    read = reader(f"k={written}\n".encode())
    assert read.number("k") == read.try_number("k") == number
    assert read.boolean("k") == (number != 0)
    assert read.report.xl_words == b""
    assert read.report.diagnostics() == ()


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("08", NOT_VALID),
        ("0b1", NOT_VALID),
        ("1e3", NOT_VALID),
        ("0x", NOT_VALID),
        ("12abc", NOT_VALID),
        ('""', NOT_VALID),
        ('"1 "', NOT_VALID),
        ('"- 1"', NOT_VALID),
        ('"True"', NOT_VALID),
        ('"-9223372036854775808x"', NOT_VALID),
        ("9223372036854775808", RANGE),
        ('"-9223372036854775809"', RANGE),
        ("99999999999999999999abc", RANGE),
        ('"0xffffffffffffffff"', RANGE),
        ("9" * 10000, RANGE),
        ("[1]", "parameter `k' is a list but should be a single value"),
    ],
)
def test_what_is_no_number(written, words):
    read = reader(f"a=1\nk={written}\n".encode())
    assert read.try_number("k") is None
    assert read.report.diagnostics() == ()
    assert read.number("k") is None
    assert read.report.xl_words.decode() == f"dir/f:2: warning: {words}\n"
    (warning,) = read.report.diagnostics()
    assert (warning.line, warning.column) == (2, 3)
    assert len(str(warning)) < 500


def test_what_was_appended_is_no_number():
    read = reader(b"k=1\nk\n".replace(b"k\n", b"k+=\n2\n".replace(b"\n2", b"2")))
    assert read.number("k") is None
    assert read.report.xl_words == b"dir/f:2: warning: can't use += with numbers for parameter `k'\n"
    assert read.text("k") == "12"


def test_quiet_is_about_xl_only():
    read = reader(b"k=['a']\nn='x'\nl='y'\n")
    assert read.text("k", quiet=True) is None
    assert read.number("n", quiet=True) is None
    assert read.boolean("n", quiet=True) is None
    assert read.items("l", quiet=True) is None
    assert read.report.xl_words == b""
    assert [found.line for found in read.report.diagnostics()] == [1, 2, 2, 3]


def test_lists():
    read = reader(b"k = [ 'a', # comment\n 'b', [ 'c' ], 'd' ]\ns = 'x'\n")
    assert [type(item) for item in read.items("k")] == [Text, Text, Items, Text]
    assert read.report.diagnostics() == ()
    assert [text.value for text in read.texts("k")] == [b"a", b"b"]
    assert read.report.xl_words == b""
    (warning,) = read.report.diagnostics()
    assert (warning.line, warning.column) == (2, 7)
    assert read.texts("s") is None
    assert read.report.xl_words == b"dir/f:3: warning: parameter `s' is a single value but should be a list\n"


def test_what_is_not_set():
    read = reader(b"")
    for get in (read.text, read.single, read.number, read.try_number, read.boolean, read.items, read.texts):
        assert get("k") is None
    assert read.value("k") is read.place("k") is read.key_place("k") is None


def test_the_line_is_that_of_the_value():
    read = reader(b"k = 'a'\nk += 'b'\nl = [ 1,\n2 ]\nl += [\n3 ]\n")
    read.number("k")
    read.number("l")
    lines = read.report.xl_words.splitlines()
    assert [line.partition(b" ")[0] for line in lines] == [b"dir/f:2:", b"dir/f:5:"]
    assert (read.key_place("l"), read.place("l")) == (30, 35)


def test_a_source_of_any_bytes():
    report = Report("\udcff.cfg", b"k=[]\n")
    read = Reader(parse_settings(b"k=[]\n", report), report, HostFacts())
    read.text("k")
    assert report.xl_words.startswith(b"\xff.cfg:1: warning: ")


def test_opening():
    assert open_settings(b"a=1", "f", HostFacts()).text("a") == "1"
    with pytest.raises(ConfigError):
        open_settings(b"a=", "f", HostFacts())
    with pytest.raises(ConfigError):
        open_settings(b"\n" * (MAX_SIZE + 1), "f", HostFacts())


@settings(max_examples=200)
@given(st.binary(max_size=20))
def test_decoding_loses_nothing(value):
    assert decoded(value).encode("utf-8", "surrogateescape") == value
