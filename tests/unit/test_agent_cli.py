"""What `xenwire agent` makes of an agent's answers."""

import pytest

from xenwire.agent import ExecResult, GuestInfo
from xenwire.cli import agent


@pytest.mark.parametrize(
    ("status", "signal", "exits"),
    [
        (0, None, 0),
        (3, None, 3),
        (255, None, 255),
        (256, None, 255),
        (-1, None, 255),
        (None, 9, 137),
        (None, 0, 255),
    ],
)
def test_exit_status(status, signal, exits):
    assert agent.exit_status(ExecResult(status, signal, b"", b"", False, False)) == exits


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [
        (0, "1970-01-01T00:00:00.000+00:00"),
        (1795247260131239000, "2026-11-21T07:47:40.131+00:00"),
        (2**63 - 1, "2262-04-11T23:47:16.854+00:00"),
        (-(2**63), "1677-09-21T00:12:43.145+00:00"),
        (None, None),
    ],
)
def test_time_is_utc(time_ns, text):
    info = GuestInfo("7.2", ("guest-ping",), *[None] * 8, time_ns)
    assert agent.record(info)["time"] == text
