"""Configurations that a genuine xl 4.17.5 has judged: its JSON, its words and its exit status."""

import re
from pathlib import Path

import pytest

from xenwire.config.diagnostics import ConfigError, Severity
from xenwire.config.libxl.json_writer import to_json
from xenwire.config.xl.config import parse_config, with_settings, xl_verdict

DATA = Path(__file__).parent.parent / "data" / "xlcfg"
CASES = sorted(path.stem for path in DATA.glob("*.cfg"))
ACCEPTED = [name for name in CASES if (DATA / f"{name}.json").exists()]
REFUSED = [name for name in CASES if (DATA / f"{name}.err").exists()]
LIVE = sorted((DATA / "live").glob("*.cfg"))


def given(name):
    """Give a configuration with the arguments that xl got after it."""
    data = (DATA / f"{name}.cfg").read_bytes()
    arguments = DATA / f"{name}.args"
    return with_settings(data, arguments.read_text().splitlines()) if arguments.exists() else data


LINES = {
    # Where xl tells no line: that of the value, or none for what the file lacks.
    "err-action": 3,
    "err-firmware-and-kernel": 4,
    "err-grants-silent": 3,
    "err-maxvcpus": 4,
    "err-name-list": 1,
    "err-type-builder-contradiction": 2,
    "err-type-number": 2,
    "err-type-unknown": 2,
    "err-uuid": 3,
    "err-disk-second-line": 8,
    "err-cpus-not-all": 7,
    "err-cpus-range": 7,
    "err-vnc-display-twice": 7,
    "err-vnuma-vcpus": 7,
    **dict.fromkeys(("err-empty", "err-only-comments", "err-name-missing", "err-no-kernel")),
    # xl tells the line before a missing value, and the last line where a list is not closed.
    "err-missing-equals": 6,
    "err-missing-value": 6,
    "err-list-unclosed": 6,
    "err-list-unclosed-eof": 8,
}


def xls_line(name):
    """Give the line of xl's first error; else that of the last setting, on which most cases have theirs."""
    told = re.search(rb"^[^ :]*:(\d+):", (DATA / f"{name}.err").read_bytes(), re.MULTILINE)
    return int(told[1]) if told else len(given(name).splitlines())


def test_each_case_is_either_accepted_or_refused():
    assert sorted(ACCEPTED + REFUSED) == CASES
    assert len(ACCEPTED) > 80
    assert len(REFUSED) > 80


@pytest.mark.parametrize("name", ACCEPTED)
def test_json(name):
    parsed = parse_config(given(name), f"{name}.cfg")
    assert to_json(parsed.config).decode() == (DATA / f"{name}.json").read_text()


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_xl_says_of_what_it_accepts(name):
    verdict = xl_verdict(given(name), f"{name}.cfg")
    said = DATA / f"{name}.warn"
    words = said.read_bytes() if said.exists() else f"Parsing config from {name}.cfg\n".encode()
    assert (verdict.words, verdict.status) == (words, 0)


@pytest.mark.parametrize("name", REFUSED)
def test_what_xl_says_of_what_it_refuses(name):
    status, _, words = (DATA / f"{name}.err").read_bytes().partition(b"\n")
    verdict = xl_verdict(given(name), f"{name}.cfg")
    assert (verdict.words, b"exit=%d" % verdict.status) == (words, status)


@pytest.mark.parametrize("name", REFUSED)
def test_what_xl_refuses_is_refused(name):
    with pytest.raises(ConfigError) as refused:
        parse_config(given(name), f"{name}.cfg")
    errors = [found for found in refused.value.diagnostics if found.severity is Severity.ERROR]
    assert all(error.file == f"{name}.cfg" for error in errors)
    assert [error.line for error in errors][:1] == [LINES.get(name, xls_line(name))]


@pytest.mark.parametrize("path", LIVE, ids=lambda path: path.stem)
def test_json_of_guests_that_were_created(path):
    parsed = parse_config(path.read_bytes(), path.name)
    assert to_json(parsed.config).decode() == path.with_suffix(".json").read_text()
