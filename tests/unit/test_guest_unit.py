"""Unit files."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenwire.errors import UsageError
from xenwire.guest.channel import Transport
from xenwire.guest.unit import Restart, Unit, parse_unit, read_units

FULL = """\
# An agent.
program = /usr/sbin/agent
  arguments = --device %d --name='%n' "a b" 50%% -%k

user = nobody
restart = on-failure
stdio = no
"""


def test_a_unit():
    assert parse_unit("program=/bin/cat", "x") == Unit("/bin/cat")
    unit = parse_unit(FULL, "x")
    arguments = ("--device", "%d", "--name=%n", "a b", "50%%", "-%k")
    assert unit == Unit("/usr/sbin/agent", arguments, "nobody", Restart.ON_FAILURE, False)
    assert unit.command("org.a.0", Path("/dev/hvc1"), Transport.PV) == [
        "/usr/sbin/agent",
        "--device",
        "/dev/hvc1",
        "--name=org.a.0",
        "a b",
        "50%",
        "-pv",
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the program is ''"),
        ("program = cat", "the program is 'cat'"),
        ("program = /bin/cat\nprogram = /bin/cat", "x:2: program is set twice"),
        ("\nprogramme = /bin/cat", "x:2: not a setting"),
        ("program", "x:1: not a setting"),
        ("program = /a\nrestart = often", "restart is 'often'"),
        ("program = /a\nstdio = 1", "stdio is '1'"),
        ("program = /a\narguments = 'a", "No closing quotation"),
        ("program = /a\narguments = %x", "%x means nothing"),
        ("program = /a\narguments = 5%", "% means nothing"),
    ],
)
def test_mistakes_are_told(text, reason):
    with pytest.raises(UsageError, match=reason):
        parse_unit(text, "x")


@settings(max_examples=200)
@given(st.text() | st.text("programentsuio=/#%'\n "))
def test_any_text_is_a_unit_or_a_mistake(text):
    try:
        unit = parse_unit(text, "x")
    except UsageError:
        return
    assert unit.command("n", Path("/d"), Transport.VIRTIO)[0].startswith("/")


def test_a_folder(tmp_path):
    assert read_units(tmp_path / "none") == ({}, [])
    (tmp_path / "org.a.0.unit").write_text("program = /bin/a")
    (tmp_path / "org.b.0.unit").write_text("program = b")
    (tmp_path / "org.c.0.unit").write_bytes(b"\xff")
    (tmp_path / "org.d.0.unit").write_bytes(bytes(70000))
    (tmp_path / "org.e.0.unit").mkdir()
    (tmp_path / "a name.unit").write_text("program = /bin/a")
    (tmp_path / "org.f.0.unit~").write_text("program = /bin/f")
    (tmp_path / "org.g.0").write_text("a program of udev's way")
    units, errors = read_units(tmp_path)
    assert units == {"org.a.0": Unit("/bin/a")}
    told = sorted(str(error) for error in errors)
    assert len(told) == 5
    for text, word in zip(
        told, ("a directory", "b.0.unit", "UTF-8", "65536", "not a channel name"), strict=True
    ):
        assert word in text.replace("Is a", "a")
    assert read_units(tmp_path / "org.a.0.unit")[1]
