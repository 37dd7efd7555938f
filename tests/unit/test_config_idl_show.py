"""Interfaces as text, and `xenwire config idl`."""

import json

import pytest
from click.testing import CliRunner

from xenwire.cli._output import Manner
from xenwire.cli.config_idl import idl
from xenwire.config import ConfigError
from xenwire.config.idl import as_dict, listing, read_idl
from xenwire.errors import NotFound

TEXT = """
namespace("n_")
n_kind = Enumeration("kind", [(-1, "NONE"), (10, "disk")], init_val = "N_KIND_NONE")
n_id = Builtin("id", init_val = -1, private = True)
Size = UInt(64, dir = DIR_OUT, hidden = True)
n_dev = Struct("dev", [
    ("id", n_id),
    ("old", Size, {'const': True, 'init_val': '~0', 'deprecated_by': 'id'}),
    ("list", Array(n_kind, "num_list")),
    ("inner", Array(Struct("inner", [("x", bool)]), "num_inner")),
    ("u", KeyedUnion(None, n_kind, "kind",
        [("none", None), ("disk", Struct(None, [("v", Union(None, [("w", string)]))]))])),
    ])
n_other = Struct("other", [("u", KeyedUnion(None, n_kind, "kind", [("disk", n_dev)], keyvar_init_val = 10))])
"""

SHOWN = """\
n_id: builtin = -1, private
Size: uint, in C uint64_t, direction out, hidden
n_kind: enumeration = N_KIND_NONE
    none     -1  N_KIND_NONE
    disk     10  N_KIND_DISK
n_dev: struct
    id             n_id = -1
    old            Size = ~0, const, deprecated by id
    list           n_kind[num_list]
    inner          n_inner[num_inner]
        x          bool
    u              union keyed by kind (n_kind) = N_KIND_NONE
        none
        disk
            v      union
                w  string
n_other: struct
    u         union keyed by kind (n_kind) = 10
        disk  n_dev
"""


@pytest.fixture
def written(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return write


def run(*arguments):
    return CliRunner().invoke(idl, arguments, obj=Manner())


def test_listing():
    assert "\n".join(listing(read_idl(TEXT.encode(), "a"))) + "\n" == SHOWN


def test_the_command_shows_a_file(written):
    result = run(written("a.idl", TEXT))
    assert (result.exit_code, result.output) == (0, SHOWN)


@pytest.mark.parametrize("option", [["-o", "json"], ["--json"]])
def test_json_is_the_model(written, option):
    result = run(written("a.idl", TEXT), *option)
    assert json.loads(result.output) == as_dict(read_idl(TEXT.encode(), "a"))


@pytest.mark.parametrize("name", ["id", "n_id"])
def test_one_type(written, name):
    assert run(written("a.idl", TEXT), "--type", name).output == "n_id: builtin = -1, private\n"


def test_a_type_by_its_variable(written):
    result = run(written("a.idl", TEXT), "--type", "Size", "-o", "json")
    assert [type_["typename"] for type_ in json.loads(result.output)["builtins"]] == ["uint64_t"]


def test_a_type_that_is_nowhere(written):
    path = written("a.idl", TEXT)
    assert isinstance(run(path, "--type", "x").exception, NotFound)
    assert isinstance(run(path, path, "--type", "x").exception, NotFound)


def test_differences(written):
    before, after = written("a.idl", TEXT), written("b.idl", TEXT.replace("10", "11"))
    result = run(before, after)
    assert result.output.splitlines() == [
        "n_kind.DISK: value renumbered: 10 → 11",
        "n_other.u: default changed: 10 → 11",
    ]
    result = run(before, after, "--type", "kind", "-o", "json")
    assert json.loads(result.output) == [
        {"change": "value-renumbered", "type": "n_kind", "item": "DISK", "before": 10, "after": 11}
    ]


def test_no_difference(written):
    path = written("a.idl", TEXT)
    result = run(path, path)
    assert (result.stdout, result.stderr) == ("", "there is no difference\n")
    assert run(path, path, "--json").output == "[]\n"


def test_a_bad_file(written):
    error = run(written("a.idl", "import os")).exception
    assert isinstance(error, ConfigError)
    assert error.exit_status == 2
