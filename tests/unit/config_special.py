"""Reads one setting as the keys with sub-languages of their own are read."""

from typing import NamedTuple

from xenwire.config.diagnostics import Severity
from xenwire.config.xl.facts import HostFacts
from xenwire.config.xl.reader import open_settings


class Outcome(NamedTuple):
    """What came of it: the value, what xl would print and end with, and our findings."""

    value: object
    words: str
    status: int | None
    warnings: list
    errors: list


def read(function, text, *arguments, cpus=4, nodes=1, **keywords):
    """Read `text`, a whole file, with one of the functions."""
    data = text if isinstance(text, bytes) else text.encode()
    reader = open_settings(data, "f.cfg", HostFacts(cpus=cpus, nodes=nodes))
    value = function(reader, *arguments, **keywords)
    report = reader.report
    found = {
        severity: [item for item in report.diagnostics() if item.severity is severity]
        for severity in Severity
    }
    return Outcome(
        value,
        report.xl_words.decode(),
        report.xl_status,
        found[Severity.WARNING],
        found[Severity.ERROR],
    )


def is_silent(outcome):
    """Tell whether nothing is said."""
    return outcome[1:] == ("", None, [], [])


def quoted(value):
    """Write text as a string of xl.cfg."""
    return '"{}"'.format(value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n"))
