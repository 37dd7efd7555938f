"""The differences between two interfaces."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenwire.config.idl import Change, Difference, differences, read_idl
from xenwire.config.idl.diff import _moved

ENUM = "e = Enumeration('e', [(0, 'A'), (1, 'B')])\n"


def diff(before, after):
    return differences(read_idl(before.encode(), "before"), read_idl(after.encode(), "after"))


def struct(fields, more=""):
    return f"{ENUM}a = Struct('a', [{fields}]{more})"


def union(members, more=""):
    return struct(f"('u', KeyedUnion(None, e, 'k', [{members}]{more}))")


@pytest.mark.parametrize(
    ("before", "after", "change", "item", "old", "new"),
    [
        ("", "a = UInt(8)", Change.TYPE_ADDED, None, None, "UInt"),
        ("a = UInt(8)", "", Change.TYPE_REMOVED, None, "UInt", None),
        ("a = UInt(8)", "a = Struct('a', [])", Change.TYPE_REPLACED, None, "UInt", "Struct"),
        ("a = Builtin('a')", "a = Builtin('b')", Change.ATTRIBUTE_CHANGED, "typename", "a", "b"),
        (struct(""), struct("", ", dir=DIR_IN"), Change.ATTRIBUTE_CHANGED, "dir", "BOTH", "IN"),
        (struct("", ", init_val=0"), struct(""), Change.ATTRIBUTE_CHANGED, "init_val", 0, None),
        (struct(""), struct("('x', bool)"), Change.FIELD_ADDED, "x", None, "bool"),
        (struct("('x', bool)"), struct(""), Change.FIELD_REMOVED, "x", "bool", None),
        (struct("('x', uint8)"), struct("('x', bool)"), Change.FIELD_RETYPED, "x", "uint8", "bool"),
        (
            struct("('x', bool)"),
            struct("('x', Array(bool, 'n'))"),
            Change.FIELD_RETYPED,
            "x",
            "bool",
            "bool[n]",
        ),
        (
            struct("('x', bool), ('y', bool), ('z', bool)"),
            struct("('z', bool), ('x', bool), ('y', bool)"),
            Change.FIELD_MOVED,
            "z",
            "y",
            None,
        ),
        (
            struct("('x', bool)"),
            struct("('x', bool, {'init_val': 1})"),
            Change.DEFAULT_CHANGED,
            "x",
            None,
            1,
        ),
        (
            struct("('x', bool)"),
            struct("('x', bool, {'const': True})"),
            Change.CONST_CHANGED,
            "x",
            False,
            True,
        ),
        (
            struct("('x', bool)"),
            struct("('x', bool, {'deprecated_by': 'y'})"),
            Change.DEPRECATION_CHANGED,
            "x",
            None,
            "y",
        ),
        (ENUM, ENUM.replace("])", ", (2, 'c')])"), Change.VALUE_ADDED, "C", None, 2),
        (ENUM, ENUM.replace(", (1, 'B')", ""), Change.VALUE_REMOVED, "B", 1, None),
        (ENUM, ENUM.replace("1", "-1"), Change.VALUE_RENUMBERED, "B", 1, -1),
        (union("('a', None)"), union("('a', None), ('b', bool)"), Change.MEMBER_ADDED, "u.b", None, "bool"),
        (union("('a', None)"), union(""), Change.MEMBER_REMOVED, "u.a", "nothing", None),
        (union("('a', None)"), union("('a', bool)"), Change.MEMBER_RETYPED, "u.a", "nothing", "bool"),
        (union(""), union("", ", keyvar_init_val='E_A'"), Change.DEFAULT_CHANGED, "u", None, "E_A"),
        (
            union("('a', Struct(None, [('x', Struct(None, []))]))"),
            union("('a', Struct(None, [('x', Struct(None, [('y', bool)]))]))"),
            Change.FIELD_ADDED,
            "u.a.x.y",
            None,
            "bool",
        ),
        (
            struct("('x', Array(Struct('s', []), 'n'))"),
            struct("('x', Array(Struct('s', [('y', bool)]), 'n'))"),
            Change.FIELD_ADDED,
            "x.y",
            None,
            "bool",
        ),
    ],
)
def test_differences(before, after, change, item, old, new):
    (found,) = diff(before, after)
    assert found == Difference(change, found.type, item, old, new)


def test_an_inner_type_of_another_kind():
    (found,) = diff(struct("('x', Struct('s', []))"), struct("('x', Union('s', []))"))
    assert (found.change, found.item) == (Change.TYPE_REPLACED, "x")


def test_the_order_is_that_of_the_files():
    before = "b = UInt(8)\na = Struct('a', [('x', bool), ('y', bool)])"
    after = "c = UInt(8)\na = Struct('a', [('z', bool), ('x', uint8)])\nd = Struct('d', [])"
    assert list(map(str, diff(before, after))) == [
        "b: type removed: UInt",
        "a.x: field retyped: bool → uint8",
        "a.y: field removed: bool",
        "a.z: field added: bool",
        "c: type added: UInt",
        "d: type added: Struct",
    ]


def test_texts():
    before, after = struct("('x', bool), ('y', bool)"), struct("('y', bool, {'init_val': 1}), ('x', bool)")
    assert list(map(str, diff(before, after))) == [
        "a.x: field moved: the first → after y",
        "a.y: default changed: none → 1",
    ]


def test_nothing_but_a_shared_type_changes_where_it_changes():
    before = "s = Struct('s', [])\na = Struct('a', [('x', s), ('y', Array(s, 'n'))])"
    (found,) = diff(before, before.replace("[]", "[('z', bool)]"))
    assert (found.type, found.item) == ("s", "z")


@settings(max_examples=100, deadline=None)
@given(st.permutations(range(7)))
def test_the_fewest_fields_move(order):
    new = [str(number) for number in order]
    old = sorted(new)
    moved = _moved(old, new)
    assert [name for name in new if name not in moved] == [name for name in old if name not in moved]
    rising = 1 + max((_longest(order, last) for last in range(7)), default=0)
    assert len(moved) == 7 - rising


def _longest(order, last):
    return max((1 + _longest(order, index) for index in range(last) if order[index] < order[last]), default=0)
