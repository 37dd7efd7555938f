"""What every command has in common: formats, errors, parameters, and output that cannot be written."""

import json
import os
import signal
import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenwire.__main__ import main
from xenwire.cli import run
from xenwire.cli._output import printable, write_all
from xenwire.cli._params import duration

COMMAND = [sys.executable, "-m", "xenwire"]


@pytest.fixture
def xenwire(capsys):
    """Run a command in this process; gives its status, output and errors."""

    def xenwire(*arguments):
        status = run(list(map(str, arguments)))
        return status, *capsys.readouterr()

    return xenwire


@pytest.mark.parametrize(
    ("arguments", "command", "reason"),
    [
        (["--bad"], "xenwire", "No such option"),
        (["nosuch"], "xenwire", "No such command"),
        (["wait"], "xenwire wait", "Missing argument 'DOMAIN'"),
        (["store", "watch", "/", "-n", "x"], "xenwire store watch", "'x' is not a valid integer range"),
        (["list", "-o", "xml"], "xenwire list", "'xml' is not one of"),
    ],
)
def test_wrong_usage_is_three_lines(xenwire, arguments, command, reason):
    status, out, err = xenwire(*arguments)
    assert (status, out) == (2, "")
    what, why, hint = err.splitlines()
    assert what == f"xenwire: cannot run {command}"
    assert why.startswith("  why: ")
    assert reason in why
    assert hint == f"  try: {command} --help"


@pytest.mark.parametrize(
    "arguments",
    [
        ["wait", "--json"],
        ["wait", "-o", "jsonl"],
        ["list", "--bad", "--json"],
        ["list", "--bad", "-ojson"],
        ["list", "--bad", "--output=json"],
    ],
)
def test_wrong_usage_in_json(xenwire, arguments):
    status, out, err = xenwire(*arguments)
    assert (status, out) == (2, "")
    assert json.loads(err)["error"]["code"] == "usage"


def test_json_that_is_meant_for_the_guest(xenwire):
    assert xenwire("agent", "exec", "--bad", "web", "--", "ls", "--json")[2].startswith("xenwire: cannot run")


def test_a_noun_alone_shows_its_help(xenwire):
    status, out, err = xenwire("store")
    assert (status, out) == (2, "")
    assert err.startswith("Usage: xenwire store")


def test_quiet_leaves_hints_out(xenwire):
    assert "  try: " in xenwire("image", "show")[2]
    assert xenwire("-q", "image", "show")[2].splitlines() == [
        "xenwire: cannot run xenwire image",
        "  why: No such command 'show'.",
    ]


def test_a_bug_of_ours_in_json(xenwire, monkeypatch):
    monkeypatch.setattr("xenwire.cli.image._FIND", {"tiny": lambda: 1 // 0})
    status, _, err = xenwire("image", "path", "--json")
    assert status == 1
    assert json.loads(err)["error"]["reason"] == "ZeroDivisionError: integer division or modulo by zero"


def test_an_interrupted_command_in_json(xenwire, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr("xenwire.cli.image._FIND", {"tiny": interrupted})
    status, _, err = xenwire("image", "path", "--json")
    assert status == 130
    assert json.loads(err)["error"]["code"] == "interrupted"
    assert xenwire("image", "path") == (130, "", "xenwire: interrupted\n")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1ms", 0.001), ("500ms", 0.5), ("30s", 30), ("2m", 120), ("720h", 2592000), ("7", 7)],
)
def test_durations(text, seconds):
    assert duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["0", "0s", "0.9ms", "721h", "9" * 400, "-1s", "nan", "inf", "1d", "", "٣s", "1e3"]
)
def test_what_is_no_duration(xenwire, text):
    status, _, err = xenwire("wait", "web", "--for", "state=running", f"--timeout={text}")
    assert status == 2
    assert "Invalid value for '--timeout'" in err


def test_configurations_that_cannot_be_read(xenwire, tmp_path):
    assert "it is a folder" in xenwire("create", tmp_path)[2]
    status, _, err = xenwire("create", "/dev/zero")
    assert (status, "more than 16777216 bytes" in err) == (2, True)
    assert xenwire("create", "-")[0] == 3


def test_the_diagnostics_of_a_configuration_in_every_format(xenwire, tmp_path):
    config = tmp_path / "a.cfg"
    config.write_text('name = "a"\nmemroy = 1\nkernel = "k"\n')
    warning = f"{config}:2:1: warning: xl does not know memroy\n"
    assert xenwire("config", "check", config)[1].startswith(warning)
    assert json.loads(xenwire("config", "check", config, "-o", "json")[1])[0]["line"] == 2
    assert json.loads(xenwire("config", "check", config, "-o", "jsonl")[1])["line"] == 2
    assert xenwire("config", "check", config, "-o", "name")[1] == f"{config}\n"


@given(st.text())
def test_what_is_printed_stays_in_its_line(text):
    shown = printable(text)
    assert shown.isprintable()
    assert len(shown) == len(text)


def test_all_is_written_to_a_pipe_that_does_not_block():
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    data, got = os.urandom(1 << 20), bytearray()

    def read():
        while piece := os.read(reading, 1 << 16):
            got.extend(piece)

    reader = threading.Thread(target=read)
    reader.start()
    write_all(writing, data)
    os.close(writing)
    reader.join()
    os.close(reading)
    assert got == data


def closed(redirection, *arguments):
    """Run a command with a redirection of the shell; gives its status, and what it says on the rest."""
    return subprocess.run(
        ["sh", "-c", f'exec "$0" "$@" {redirection}', *COMMAND, *arguments],
        capture_output=True,
        text=True,
        env={k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"},
        timeout=60,
    )


@pytest.mark.parametrize("redirection", [">&-", ">/dev/full", "<&- >&-"])
@pytest.mark.parametrize(
    "arguments", [["--version"], ["-v", "--version"], ["config", "--help"], ["config", "check", "CONFIG"]]
)
def test_output_that_cannot_be_written(redirection, arguments, tmp_path):
    (tmp_path / "a.cfg").write_text('name = "a"\nmemroy = 1\n')
    words = [str(tmp_path / "a.cfg") if word == "CONFIG" else word for word in arguments]
    result = closed(redirection, *words)
    assert result.returncode == 1
    what, why, hint = result.stderr.splitlines()
    assert what == "xenwire: cannot write the output"
    assert why in ("  why: stdout: Bad file descriptor", "  why: stdout: No space left on device")
    assert hint.startswith("  try: ")


def test_a_missing_stdout_is_no_trouble_for_who_says_nothing(tmp_path):
    (tmp_path / "a.cfg").write_text('name = "a"\nkernel = "k"\n')
    assert closed(">&-", "config", "check", str(tmp_path / "a.cfg")).returncode == 0


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", "<&- >&- 2>&-"])
def test_the_status_tells_where_stderr_cannot(redirection):
    result = closed(redirection, "config", "check", "/none.cfg")
    assert (result.returncode, result.stdout, result.stderr) == (3, "", "")


def test_a_missing_stdin():
    assert closed("<&-", "--version").returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_after_the_end_does_not_change_the_status(number, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["xenwire", "config", "--help"])
    assert main() == 0
    os.kill(os.getpid(), number)
