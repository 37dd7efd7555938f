"""`xenwire config check`."""

import json

import pytest

from xenwire.cli import run

BAD = b'name = "a\nmemroy = 1\n'
GOOD = b'name = "a"\n'


@pytest.fixture
def written(tmp_path):
    def write(name, data):
        path = tmp_path / name
        path.write_bytes(data)
        return str(path)

    return write


def test_shows_what_is_wrong(written, capsys):
    path = written("bad.cfg", BAD)
    assert run(["config", "check", written("good.cfg", GOOD), path]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{path}:1:8: error: this string is not closed"
    assert lines[2] == "           ^"
    assert f"{path}:2:1: warning: unknown key memroy" in lines


def test_says_nothing_of_a_good_file(written, capsys):
    assert run(["config", "check", written("good.cfg", GOOD)]) == 0
    assert capsys.readouterr().out == ""


def test_json(written, capsys):
    assert run(["config", "check", "--json", written("bad.cfg", BAD)]) == 2
    first, second = json.loads(capsys.readouterr().out)
    assert (first["severity"], first["line"], first["column"]) == ("error", 1, 8)
    assert (second["severity"], second["hint"]) == ("warning", "did you mean memory?")


def test_a_missing_file(tmp_path, capsys):
    assert run(["config", "check", str(tmp_path / "none.cfg")]) == 3
    assert "it does not exist" in capsys.readouterr().err
