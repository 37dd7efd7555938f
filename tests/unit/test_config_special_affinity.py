"""The keys cpus and cpus_soft: lists of processors."""

import pytest
from config_special import is_silent, quoted, read
from hypothesis import given, settings
from hypothesis import strategies as st

from xenwire.config.xl.affinity import Affinity, check_hard_affinity, read_affinity
from xenwire.config.xl.cpumap import map_width, members, parse_range


def cpus(text, vcpus=1, **facts):
    return read(read_affinity, f"cpus = {quoted(text)}", "cpus", vcpus, **facts)


def one_map(text, **facts):
    """The map of a text that is fine."""
    outcome = cpus(text, **facts)
    assert (outcome.words, outcome.status, outcome.errors) == ("", None, [])
    return sorted(outcome.value.maps[0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", [0]),
        ("0-2", [0, 1, 2]),
        ("3,1", [1, 3]),
        ("0-3,^1", [0, 2, 3]),
        ("^1,0-3", [0, 1, 2, 3]),
        ("0-3,^1-2,2", [0, 2, 3]),
        ("all", [0, 1, 2, 3, 4, 5, 6, 7]),
        ("all,^0", [1, 2, 3, 4, 5, 6, 7]),
        ("^1,all", [0, 1, 2, 3, 4, 5, 6, 7]),
        ("node:0", [0, 1, 2, 3]),
        ("nodes:0", [0, 1, 2, 3]),
        ("node:0,^2", [0, 1, 3]),
        ("all,^node:0", [4, 5, 6, 7]),
        ("^nodes:0,1", [1]),
        ("node:all", [0, 1, 2, 3, 4, 5, 6, 7]),
        (",,1,,", [1]),
        (" 1,\t2, +3", [1, 2, 3]),
        ("^ 1,1", [1]),
        ("01,010", [1]),
        ("", []),
        (",", []),
        ("^0", []),
        # a map is whole bytes: on a host with 4 processors, 7 is kept and 8 is not
        ("7", [7]),
        ("8", []),
        ("6-9", [6, 7]),
        ("node:1", []),
        ("node:0-5", [0, 1, 2, 3]),
        # bits are numbered by a C int
        ("4294967296", [0]),
        ("4294967294-4294967298", [0, 1, 2]),
        ("2-4294967297", [0, 1, 2, 3, 4, 5, 6, 7]),
        ("-5", []),
        ("node:4294967296", [0, 1, 2, 3]),
    ],
)
def test_a_text(text, expected):
    assert one_map(text) == expected


def test_wide_hosts():
    assert one_map("all", cpus=9) == list(range(16))
    assert one_map("node:0", cpus=100) == list(range(64))


@pytest.mark.parametrize("text", ["8", "6-9", "node:1", "node:0-5", "4294967296", "-5"])
def test_what_the_host_does_not_have_is_a_warning(text):
    outcome = cpus(text)
    assert (len(outcome.warnings), outcome.words) == (1, "")


def test_what_the_host_has_is_no_warning():
    assert cpus("0-7,^9,all,node:0").warnings == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("3-1", "Invalid pcpu range: 3-1.\n"),
        ("x", "Invalid pcpu range: x.\n"),
        ("1x", "Invalid pcpu range: 1x.\n"),
        ("1 ", "Invalid pcpu range: 1 .\n"),
        ("1-", "Invalid pcpu range: 1-.\n"),
        ("1-2-3", "Invalid pcpu range: 1-2-3.\n"),
        (" all", "Invalid pcpu range:  all.\n"),
        ("ALL", "Invalid pcpu range: ALL.\n"),
        ("-1", "Invalid pcpu range: -1.\n"),
        ("18446744073709551615", "Invalid pcpu range: 18446744073709551615.\n"),
        ("0-99999999999999999999", "Invalid pcpu range: 0-99999999999999999999.\n"),
        ("^9-7", "Invalid pcpu range: 9-7.\n"),
        ("^nodes:9-7", "Invalid pcpu range: 9-7.\n"),
        ("node:", "Invalid pcpu range: .\n"),
        ("node:^0", "Invalid pcpu range: ^0.\n"),
        ("node:nodes:0", "Invalid pcpu range: nodes:0.\n"),
        ("^^0", "Invalid pcpu range: ^0.\n"),
        ("^all", 'Can\'t combine "^" and "all".\n'),
        ("^node:all", 'Can\'t combine "^" and "all".\n'),
    ],
)
def test_bad_pieces(text, words):
    outcome = cpus(f"0,{text},1")
    assert (outcome.words, outcome.status) == (words, 1)
    assert len(outcome.errors) == 1
    assert outcome.errors[0].column == len('cpus = "0,') + 1


def test_all_bad_pieces_are_found_but_xl_ends_at_the_first():
    outcome = cpus("x,y")
    assert outcome.words == "Invalid pcpu range: x.\n"
    assert len(outcome.errors) == 2


def test_a_range_that_xl_would_never_have_counted_is_an_error():
    outcome = cpus("0-18446744073709551614")
    assert (outcome.words, outcome.status, len(outcome.errors)) == ("", -9, 1)


def test_a_text_is_for_all_vcpus():
    outcome = cpus("0,2", vcpus=3)
    assert outcome.value == Affinity((frozenset({0, 2}),) * 3, by_list=False, set=True)
    assert is_silent(outcome._replace(value=None))


def test_a_list_has_an_item_for_each_vcpu():
    outcome = read(read_affinity, 'cpus = ["0", 1, "2-3"]', "cpus", 4)
    assert outcome.value == Affinity(tuple(map(frozenset, ({0}, {1}, {2, 3}))), by_list=True, set=True)
    assert is_silent(outcome._replace(value=None))


def test_items_for_vcpus_that_are_not_there_are_not_read():
    outcome = read(read_affinity, 'cpus = ["0", "x", ["y"]]', "cpus", 1)
    assert outcome.value.maps == (frozenset({0}),)
    assert (outcome.words, outcome.status, len(outcome.warnings)) == ("", None, 1)


def test_an_empty_list_is_set_too():
    outcome = read(read_affinity, "cpus = []", "cpus", 1)
    assert outcome.value == Affinity((), by_list=True, set=True)
    assert is_silent(outcome._replace(value=None))


def test_the_other_key():
    text = 'cpus = "0"\ncpus_soft = "1"'
    assert read(read_affinity, text, "cpus_soft", 1).value.maps == (frozenset({1}),)
    assert read(read_affinity, "", "cpus_soft", 1).value == Affinity()


def test_without_vcpus_a_text_is_an_error():
    outcome = cpus("0", vcpus=0)
    assert (outcome.words, outcome.status, len(outcome.errors)) == ("", None, 1)
    # xl finds a mistake in it first
    assert cpus("x", vcpus=0).words == "Invalid pcpu range: x.\n"
    assert read(read_affinity, 'cpus = ["0"]', "cpus", 0).errors == []


def test_a_negative_number_of_vcpus_was_refused_before():
    assert cpus("0", vcpus=-1).value.maps == ()
    assert read(read_affinity, 'cpus = ["0"]', "cpus", -1).value.maps == ()


def test_an_inner_list_makes_xl_crash():
    outcome = read(read_affinity, 'cpus = ["0", ["1"]]', "cpus", 2)
    assert (outcome.words, outcome.status, len(outcome.errors)) == ("", -11, 1)


def test_a_vcpu_needs_a_processor():
    some, none = frozenset({1}), frozenset()
    outcome = read(check_hard_affinity, 'cpus = ""', (some, none))
    assert (outcome.words, outcome.status) == ("vcpu hard affinity map is empty\n", 1)
    assert len(outcome.errors) == 1
    assert is_silent(read(check_hard_affinity, "", (some, some)))
    assert is_silent(read(check_hard_affinity, "", ()))


@pytest.mark.parametrize(("processors", "width"), [(1, 8), (7, 8), (8, 8), (9, 16), (64, 64), (65, 72)])
def test_map_width(processors, width):
    assert map_width(processors) == width


@given(st.integers(0, 2**40), st.integers(0, 40), st.sampled_from([8, 16]))
def test_members_against_counting(first, more, width):
    counted = {number % 2**32 for number in range(first, first + more + 1)}
    assert members(first, first + more, width) == {bit for bit in counted if bit < width}


@given(st.integers(0, 2**33), st.integers(0, 2**70))
def test_members_take_little_time(first, more):
    assert len(members(first, first + more, 64)) == len(
        {bit for bit in range(64) if (bit - first) % 2**32 <= more}
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"3", (3, 3, True)),
        (b"3-5", (3, 5, True)),
        (b"3x", (3, 3, False)),
        (b"5-3", (5, 3, False)),
        (b"3-", (3, 0, False)),
        (b"3-x", (3, 0, False)),
        (b"x", (0, 0, False)),
        (b"", (0, 0, False)),
    ],
)
def test_parse_range(text, expected):
    assert parse_range(text) == expected


PIECES = st.one_of(
    st.tuples(st.just("number"), st.integers(0, 12), st.integers(0, 5)),
    st.tuples(st.just("node"), st.integers(0, 1), st.just(0)),
    st.tuples(st.just("all"), st.just(0), st.just(0)),
)


@settings(max_examples=200)
@given(st.lists(st.tuples(PIECES, st.booleans()), max_size=8), st.integers(1, 12))
def test_against_sets(pieces, processors):
    """A model: sets of numbers, cut to the width in the end."""
    everything = set(range(map_width(processors)))
    expected, texts = set(), []
    for (kind, first, more), removes in pieces:
        removes = removes and kind != "all"
        if kind == "all":
            text, numbers = "all", everything
        elif kind == "node":
            text, numbers = f"node:{first}", set(range(processors)) if first == 0 else set()
        else:
            text, numbers = f"{first}-{first + more}", set(range(first, first + more + 1))
        texts.append("^" * removes + text)
        expected = expected - numbers if removes else expected | numbers
    assert one_map(",".join(texts), cpus=processors) == sorted(expected & everything)
