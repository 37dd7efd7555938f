"""Interface files: what is read as Xen reads it, and what is refused, where and why."""

import ast
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenwire.config import ConfigError
from xenwire.config.idl import MAX_SIZE, as_dict, read_idl
from xenwire.config.idl.model import Direction, PassBy
from xenwire.config.idl.syntax import MAX_DEPTH

IDL = Path(__file__).parents[1] / "data" / "xlcfg" / "idl"

COLOUR = 'Enumeration("colour", [(0, "RED"), (1, "BLUE")])'


def read(text):
    return read_idl(text.encode() if isinstance(text, str) else text, "a.idl")


def refused(text):
    with pytest.raises(ConfigError) as caught:
        read(text)
    return caught.value.diagnostics


@pytest.mark.parametrize("path", sorted(IDL.glob("toy-*.idl")), ids=lambda path: path.stem)
def test_the_model_is_that_of_xen(path):
    assert as_dict(read(path.read_bytes())) == json.loads(path.with_suffix(".json").read_text())


@pytest.mark.parametrize("path", sorted(IDL.glob("bad-*.idl")), ids=lambda path: path.stem)
def test_what_is_no_interface_is_refused(path):
    diagnostic = refused(path.read_bytes())[0]
    assert diagnostic.line is not None
    assert "is not run" in diagnostic.hint


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("import os", 1, 1, "unexpected import"),
        ("\n\ndef f():\n    return 1\n", 3, 1, "unexpected def"),
        ("a = lambda: 1", 1, 5, "unexpected lambda"),
        ("a = integer.real", 1, 12, "there are no attributes"),
        ("a = Struct('a', [x for x in y])", 1, 20, "unexpected for"),
        ('a = Builtin(f"a")', 1, 13, "a string with the prefix f"),
        ('a = Builtin(b"a")', 1, 13, "a string with the prefix b"),
        ("a = Builtin(*b)", 1, 13, "unexpected *"),
        ('a = Builtin("a", **b)', 1, 18, "unexpected *"),
        ("a = UInt(4 + 4)", 1, 12, "unexpected +"),
        ("a = UInt(16 - 8)", 1, 13, "there is no arithmetic"),
        ("a = UInt(--8)", 1, 11, "there is no arithmetic"),
        ("a = Struct('a', [])[0]", 1, 20, "a bracket right after another"),
        ("a = UInt(1e3)", 1, 10, "unexpected 1"),
        ("a = UInt(" + "9" * 50 + ")", 1, 10, "too many digits"),
        ("a = UInt(0b1111111" + "0" * 64 + ")", 1, 10, "too many digits"),
        ('"x"', 1, 1, "no statement"),
        ("a = integer", 1, 1, "no statement"),
        ("a = b = UInt(8)", 1, 1, "no statement"),
        ("a, b = UInt(8)", 1, 1, "no statement"),
        ("a[0] = UInt(8)", 1, 1, "no statement"),
        ("a: b = UInt(8)", 1, 1, "no statement"),
        ("print(integer)", 1, 1, "no statement"),
        ("a = (b := UInt(8))", 1, 1, "no statement"),
        ("a =", 1, 4, "this is no Python"),
        ("a = UInt(8", 1, 9, "not closed"),
        ("a = UInt(8]", 1, 11, "a closing bracket without"),
        ("a = UInt(8))", 1, 12, "a closing bracket without"),
        ('a = Builtin("a)', 1, 13, "this string is not closed"),
        ('a = Builtin("""a)', 1, 13, "this string is not closed"),
        ("\ufeffa = UInt(8)", 1, 1, "a byte order mark"),
        ("  a = UInt(8)", 1, 3, "this line is indented"),
        ("a = UInt(8)\n\tb = UInt(8)", 2, 2, "this line is indented"),
        ("hidden(1)", 1, 8, "expected True or False, found the number 1"),
        ("namespace(None)", 1, 11, "expected a text, found None"),
        ("namespace()", 1, 1, "it takes namespace(value)"),
        ("namespace('a', b='c')", 1, 1, "arguments with a name"),
        ("a = open('x')", 1, 5, "unknown constructor open"),
        ("a = 'x'('y')", 1, 5, "expected a constructor"),
        ("a = integer(8)", 1, 5, "integer is no constructor"),
        ("Struct = UInt(8)", 1, 1, "Struct belongs to the language"),
        ("a = Array(integer, 'n')", 1, 5, "Array outside of a field"),
        ("a = KeyedUnion(None, b, 'k', [])", 1, 5, "KeyedUnion outside of a field"),
        ("a = Struct(None, [])", 1, 5, "has no name"),
        ("a = Builtin()", 1, 5, "Builtin has 0 arguments"),
        ("a = Builtin('a', 'b')", 1, 5, "Builtin has 2 arguments"),
        ("a = Builtin('')", 1, 13, "cannot be empty"),
        ("a = Builtin('\\x00')", 1, 13, "cannot be printed"),
        ("a = Builtin('a', signed=True, signed=True)", 1, 31, "signed is given twice"),
        ("a = Builtin('a', dir=3)", 1, 22, "expected one of DIR_NONE, DIR_IN, DIR_OUT, DIR_BOTH"),
        ("a = Builtin('a', passby=DIR_IN)", 1, 25, "expected one of PASS_BY_VALUE"),
        ("a = Builtin('a', private=0)", 1, 26, "expected True or False"),
        ("a = Builtin('a', init_val=True)", 1, 27, "expected a text, found True"),
        ("a = Builtin('a', new={'a': {1}})", 1, 28, "expected a number, found a set"),
        ("a = Builtin('a', new=b)", 1, 22, "unknown type b"),
        ("a = Number('int', init_val='\\ud800')", 1, 28, "cannot be printed"),
        ("a = UInt(24)", 1, 10, "expected a width of 8, 16, 32, 64"),
        ("a = UInt('8')", 1, 10, 'expected a number, found the text "8"'),
        ("a = Enumeration(None, [])", 1, 17, "expected a text"),
        ("a = Enumeration('a b', [])", 1, 17, "letters, digits and _"),
        ("a = Enumeration('a', [], namespace=None)", 1, 5, "needs a value_namespace"),
        ("a = Enumeration('a', 'b')", 1, 22, "expected a list of values"),
        ("a = Enumeration('a', [(1, 'b', 2)])", 1, 23, "a value with 3 parts"),
        ("a = Enumeration('a', [(True, 'b')])", 1, 24, "expected a number, found True"),
        ("a = Enumeration('a', [(-b, 'b')])", 1, 24, "expected a number, found a minus sign"),
        ("a = Enumeration('a', [(0xfffffffffffffffff, 'b')])", 1, 24, "more than 64 bits"),
        ("a = Enumeration('a', [(0, 'b'), (1, 'B')])", 1, 37, "a second value B"),
        ("a = Struct('a', {})", 1, 17, "expected a list of fields, found a dictionary"),
        ("a = Struct('a', [integer])", 1, 18, "expected a field, found the name integer"),
        ("a = Struct('a', [('b',)])", 1, 18, "a field with 1 parts"),
        ("a = Struct('a', [(None, integer)])", 1, 19, "expected a text, found None"),
        ("a = Struct('a', [('1', integer)])", 1, 19, "starts with a digit"),
        ("a = Struct('a', [('b', None)])", 1, 24, "expected a type, found None"),
        ("a = Struct('a', [('b', DIR_IN)])", 1, 24, "expected a type, found the name DIR_IN"),
        ("a = Struct('a', [('b', a)])", 1, 24, "unknown type a"),
        ("a = Struct('a', [('b', bool), ('b', bool)])", 1, 32, "a second field b"),
        ("a = Struct('a', [('b', bool, 1)])", 1, 30, "expected a dictionary, found the number 1"),
        ("a = Struct('a', [('b', bool, {1: 2})])", 1, 31, "expected a text"),
        ("a = Struct('a', [('b', bool, {'const': 1})])", 1, 40, "expected True or False"),
        ("a = Struct('a', [('b', bool, {'x': 1, 'x': 1})])", 1, 39, "x is given twice"),
        ("a = Struct('a', [('n', bool), ('b', Array(bool, 'n'))])", 1, 49, "a second field n"),
        ("a = Struct('a', [('b', Array(Array(bool, 'm'), 'n'))])", 1, 30, "Array outside"),
        ("a = Struct('a', [('b', Array(Struct(None, []), 'n'))])", 1, 30, "type without a name"),
        ("a = Union('a', [('b', Array(bool, 'n'))])", 1, 23, "Array outside of a field"),
        ("a = Struct('a', [('b', KeyedUnion('x', bool, 'k', []))])", 1, 35, "expected None"),
        ("a = Struct('a', [('b', KeyedUnion(None, bool, 'k', []))])", 1, 41, "expected an Enumeration"),
    ],
)
def test_refusals(text, line, column, message):
    (diagnostic,) = refused(text)
    assert (diagnostic.line, diagnostic.column) == (line, column)
    assert message in diagnostic.message + (diagnostic.hint or "")


@pytest.mark.parametrize(
    ("members", "column", "message"),
    [
        ("[('green', None)]", 51, "green is no value of the enumeration"),
        ("[('red', None), ('RED', None)]", 66, "a second member RED"),
        ("[('red', None, 1)]", 50, "a member with 3 parts"),
        ("[('red', Array(bool, 'n'))]", 58, "Array outside of a field"),
        ("[('red', KeyedUnion(None, c, 'l', []))]", 58, "KeyedUnion outside of a field"),
        ("[('red', {})]", 58, "expected a type, found a dictionary"),
    ],
)
def test_refusals_of_members(members, column, message):
    (diagnostic,) = refused(f"c = {COLOUR}\na = Struct('a', [('u', KeyedUnion(None, c, 'k', {members}))])")
    assert (diagnostic.line, diagnostic.column) == (2, column)
    assert message in diagnostic.message


def test_the_key_of_a_union_is_a_field():
    union = "('u', KeyedUnion(None, c, 'k', []))"
    (diagnostic,) = refused(f"c = {COLOUR}\na = Struct('a', [('k', bool), {union}])")
    assert diagnostic.message == "a second field k"


def test_each_wrong_statement_is_told_of_once():
    found = refused(
        "a = Struct('a', [('x', lambda: 1)])\n"
        "b = Struct('b', [('x', a), ('y', nothing)])\n"  # a is told of already
        "c = Struct('c', [('x', integr)])\n"
        "d = Struct('d', [('x', e)])\n"
        "e = UInt(8)\n"
        "f = UInt(8; g = 1\n"
        "h = UInt(7)\n"
    )
    assert [(diagnostic.line, diagnostic.column) for diagnostic in found] == [
        (1, 24),
        (3, 24),
        (4, 24),
        (6, 9),
    ]
    assert found[1].hint == "did you mean integer?"
    assert found[2].hint == "it is defined only in line 5; move that up"


def test_a_wrong_assignment_does_not_leave_the_earlier_one():
    found = refused(
        "a = UInt(8)\na = UInt(9)\nb = Struct('b', [('x', a)])\na = UInt(8)\nc = Struct('c', [('x', a), a])"
    )
    assert [diagnostic.line for diagnostic in found] == [2, 5]


def test_columns_are_characters():
    (diagnostic,) = refused("# äöü €\r\na = Builtin('äöü', b=(\r\n  'ä', c))")
    assert (diagnostic.line, diagnostic.column) == (3, 8)
    assert str(diagnostic).splitlines()[1:3] == ["      'ä', c))", " " * 11 + "^"]


def test_form_feeds_and_continued_lines_keep_places():
    (diagnostic,) = refused("\fa = UInt(8)\n\f\n\fb = \\\n  UInt(7)")
    assert (diagnostic.line, diagnostic.column) == (4, 8)


@pytest.mark.parametrize(
    ("data", "line", "column", "message"),
    [
        (b"a = UInt(8)\n# \0", 2, 3, "a NUL byte"),
        (b"a = UInt(8)\rimport os", 1, 12, "a carriage return without a newline"),
        (b"# \xff", 1, 3, "a byte that is no UTF-8"),
        (b"#" * (MAX_SIZE + 1), None, None, f"more than {MAX_SIZE} bytes"),
    ],
)
def test_what_is_no_text(data, line, column, message):
    (diagnostic,) = refused(data)
    assert (diagnostic.line, diagnostic.column) == (line, column)
    assert message in diagnostic.message


def test_a_coding_cookie_means_nothing():
    interface = read("# -*- coding: utf-16 -*-\na = Builtin('ä')")
    assert interface.builtins[0].typename == "ä"


def test_a_warning_of_the_parser_is_not_shown(recwarn):
    assert read(r"a = Builtin('\d')").builtins[0].typename == r"\d"
    assert not recwarn.list


@pytest.mark.parametrize("error", [MemoryError, RecursionError, ValueError])
def test_a_parser_that_gives_up(error, monkeypatch):
    def parse(text):
        raise error

    monkeypatch.setattr(ast, "parse", parse)
    (diagnostic,) = refused("a = UInt(7)")
    assert (diagnostic.line, diagnostic.message) == (1, "this is too much for Python's parser")


FLOODS = [
    *(
        "(",
        "[",
        "{",
        "a(",
        "a[",
        "{a:",
        "(a,",
        "f(a=",
        "-",
        "~",
        "not ",
        "lambda:",
        "a.",
        "a()",
        "a[0]",
        "a()()",
    ),
    *(
        "a**",
        "a if b else ",
        "1if 1else ",
        "await ",
        "a-",
        "a,",
        "a;",
        "a=",
        "a=\n",
        "a:",
        "a = b\n",
        "\\\n",
        "\n ",
    ),
    *(
        "'",
        '"',
        "'''",
        "'\\",
        "f'{",
        "''",
        "#",
        "é",
        "\0",
        "\x0c",
        ")",
        "}",
        "1",
        "1_",
        "0x",
        "if a:\n",
        "*",
        "@",
    ),
]


@pytest.mark.parametrize("size", [60_000, 1_000_000])
@pytest.mark.parametrize("piece", FLOODS)
def test_a_flood_is_refused(piece, size):
    text = piece.encode() * (size // len(piece.encode()))
    if piece in ("#", "\n ", "\\\n", "\x0c") and size < MAX_SIZE:
        assert not read(text).types
    else:
        assert refused(text)


def nested(depth):
    inner = "bool"
    for _ in range(depth):
        inner = f"Struct(None, [('x', {inner})])"
    return f"a = Struct('a', [('x', {inner})])"


def test_the_limit_of_depth():
    deepest = MAX_DEPTH // 3 - 1
    assert read(nested(deepest)).types
    (diagnostic,) = refused(nested(deepest + 1))
    assert diagnostic.message == f"more than {MAX_DEPTH} brackets in each other"


def test_a_type_used_a_million_times_over_costs_nothing():
    lines = ["a0 = Struct('a0', [])"]
    lines += [f"a{n} = Struct('a{n}', [('x', a{n - 1}), ('y', a{n - 1})])" for n in range(1, 3000)]
    interface = read("\n".join(lines))
    assert len(as_dict(interface)["types"]) == 3000
    assert repr(interface.types[-1])
    assert interface == interface
    assert hash(interface)


def test_what_all_types_take():
    interface = read(
        "namespace('n_')\nhidden(True)\n"
        "a = Builtin('a', dir=DIR_OUT, passby=PASS_BY_REFERENCE, init_val=-1, json_parse_type=None,\n"
        "            hidden=False, copy_fn=None, new=[1, {'x': (True, DIR_IN, uint8)}])\n"
        "b = Struct('b', [], namespace=None, private=True, init_val='B', check_default_fn='f')\n"
        "c = Number('long long', private=True)\n"
        "d = Builtin('d', private=True)\n"
    )
    a, c, d = interface.builtins
    (b,) = interface.types
    assert (a.typename, a.direction, a.passby) == ("n_a", Direction.OUT, PassBy.REFERENCE)
    assert (a.init_val, a.json_parse_type, a.hidden) == (-1, None, False)
    (copy, new) = a.keywords
    assert copy == ("copy_fn", None)
    assert new[1][0] == 1
    assert new[1][1][0][0] == "x"
    assert new[1][1][0][1][:2] == (True, Direction.IN)
    assert (b.typename, b.private, b.hidden, b.init_val) == ("b", True, True, "B")
    assert (b.check_default_fn, b.json_parse_type) == ("f", "JSON_MAP")
    assert (c.typename, c.json_parse_type) == ("long long", "JSON_INTEGER")
    assert d.json_parse_type is None


def test_a_variable_assigned_again_moves_to_the_end():
    interface = read(
        "a = UInt(8)\nb = Struct('b', [('x', a)])\nc = UInt(16)\na = UInt(32)\n"
        "bool = Struct('bool', [('x', bool)])"
    )
    assert [type_.variable for type_ in interface.builtins] == ["c", "a"]
    assert interface.types[0].fields[0].type.typename == "uint8_t"
    assert interface.types[1].fields[0].type.typename == "bool"


def test_other_ways_to_write_it():
    interface = read(
        "# comment\nnamespace(r'n_'); hidden(False)\r\n"
        "a = Struct('a' \"b\", (['x', integer, {}],\n# at the margin (\n('y', Array(UInt(8), 'n')),\n"
        "('z', Union(None, [('i', Enumeration('''e''', ((0b1, 'k'),)))])),))\n"
    )
    assert as_dict(interface)["types"][0]["fields"][2]["type"] == {
        "union": [{"name": "i", "type": "n_e", "const": False, "init_val": None, "deprecated_by": None}]
    }
    assert interface.types[0].typename == "n_ab"


def test_an_empty_file_has_no_types():
    assert as_dict(read(b"")) == {"builtins": [], "types": []}


names = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)
simple = st.sampled_from(["integer", "bool", "string", "uint64"])
C_NAMES = {"integer": "int", "bool": "bool", "string": "char *", "uint64": "uint64_t"}


@st.composite
def field_lists(draw, depth=1):
    fields = []
    for name in draw(st.lists(names, unique=True, max_size=4)):
        if depth and draw(st.booleans()):
            text, model = draw(field_lists(depth - 1))
            text, model = f"Struct(None, {text})", {"struct": model}
        else:
            text = draw(simple)
            model = C_NAMES[text]
        default = draw(st.none() | st.integers(-(2**63), 2**64 - 1) | names)
        blank = draw(st.sampled_from(["", " ", "\n", "\n    # ], )\n", "\t", " \\\n"]))
        options = "" if default is None else f", {{'init_val':{blank}{default!r}}}"
        fields.append(
            (
                f"({blank}{name!r}, {text}{options}{blank})",
                {"name": name, "type": model, "const": False, "init_val": default, "deprecated_by": None},
            )
        )
    return "[" + ", ".join(text for text, _ in fields) + "]", [model for _, model in fields]


@settings(max_examples=20, deadline=None)
@given(st.lists(field_lists(), max_size=3))
def test_structs_are_read_as_written(structs):
    text = "\n".join(f"s{n} = Struct('s{n}', {fields})" for n, (fields, _) in enumerate(structs))
    found = as_dict(read(text))["types"]
    assert [type_["fields"] for type_ in found] == [model for _, model in structs]


words = st.sampled_from(
    [
        *"()[]{},=:-;'\"\\\n\r\f #.*1",
        "Struct(",
        "KeyedUnion(None,",
        "Array(",
        "integer",
        "'a'",
        "a = ",
        "\n a",
        "None",
    ]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(words | st.characters(), max_size=40).map("".join))
def test_any_text_is_read_or_refused(text):
    data = text.encode(errors="surrogatepass")
    try:
        assert read(data) is not None
    except ConfigError as error:
        assert error.diagnostics
