"""The key viridian."""

import pytest
from config_special import is_silent, read
from hypothesis import given
from hypothesis import strategies as st

from xenwire.config.libxl.types import ViridianEnlightenment
from xenwire.config.xl.viridian import read_viridian


def viridian(value):
    return read(read_viridian, f"viridian = {value}")


@pytest.mark.parametrize(
    ("value", "fields"),
    [
        ("1", {"viridian": True}),
        ("2", {"viridian": True}),
        ("0", {"viridian": False}),
        ("[]", {}),
        ("['defaults']", {"viridian": True}),
        ("['base']", {"viridian_enable": {0}}),
        ("['BASE', 'Hcall_IPI']", {"viridian_enable": {0, 9}}),
        ("['!base', 'freq']", {"viridian_enable": {1}, "viridian_disable": {0}}),
        ("['base', '!base']", {"viridian_disable": {0}}),
        ("['!base', 'base']", {"viridian_enable": {0}}),
        ("['all']", {"viridian_enable": set(range(64))}),
        ("['all', '!base']", {"viridian_enable": set(range(1, 64)), "viridian_disable": {0}}),
        ("['!base', 'all']", {"viridian_enable": set(range(64)), "viridian_disable": {0}}),
        ("['defaults', 'synic', 'stimer']", {"viridian": True, "viridian_enable": {7, 8}}),
    ],
)
def test_values(value, fields):
    outcome = viridian(value)
    assert outcome.value == fields
    assert is_silent(outcome._replace(value=None))


def test_unset():
    assert read(read_viridian, "").value == {}


def test_a_word_that_is_no_number_is_ignored():
    outcome = viridian("'x'")
    assert (outcome.value, outcome.words, outcome.status) == ({}, "", None)
    assert len(outcome.warnings) == 1


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("warp", "warp"),
        ("!warp", "warp"),
        ("", ""),
        ("!", ""),
        ("!all", "all"),
        ("!defaults", "defaults"),
        ("All", "All"),
        ("!!base", "!base"),
        (" base", " base"),
    ],
)
def test_unknown_words(word, shown):
    outcome = viridian(f"['base', '{word}', 'freq']")
    assert (outcome.words, outcome.status) == (f"xl: unknown viridian enlightenment '{shown}'\n", 3)
    assert len(outcome.errors) == 1


def test_a_near_word_is_suggested():
    assert viridian("['!stimmer']").errors[0].hint == "did you mean stimer?"


def test_an_inner_list_makes_xl_crash():
    outcome = viridian("['base', ['x'], 'warp']")
    assert (outcome.words, outcome.status, len(outcome.errors)) == ("", -11, 2)


NAMES = [word.json for word in ViridianEnlightenment]


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.booleans()), max_size=20))
def test_against_the_last_word(words):
    """A model: of each name, the last word counts."""
    last = dict(words)
    fields = viridian([f"{'!' * (not on)}{name}" for name, on in words]).value
    assert fields.get("viridian_enable", set()) == {NAMES.index(name) for name, on in last.items() if on}
    assert fields.get("viridian_disable", set()) == {NAMES.index(name) for name, on in last.items() if not on}
