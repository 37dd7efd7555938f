"""What is logged of a channel: its numbers, and not more than a guest may have us write."""

import json
import logging

import pytest

from xenwire.channels.channellog import LINES, ChannelLog
from xenwire.runtime.logs import JsonFormatter
from xenwire.types import DevId, DomId


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def log(clock):
    return ChannelLog(DomId(5), DevId(2), clock)


def test_a_line_names_the_channel(log, caplog):
    log.warning("%s at %d", "100% broke", 7)
    (record,) = caplog.records
    assert record.getMessage() == "channel 2 of domain 5: 100% broke at 7"
    assert (record.domid, record.devid, record.levelname) == (5, 2, "WARNING")


def test_a_guest_cannot_fill_a_disk(log, clock, caplog):
    hours = 24
    for _ in range(hours * 3600 * 5):  # five a second: as often as a guest may change its state
        log.warning("the guest broke the ring")
        clock.now += 0.2
    burst, rate = LINES
    assert len(caplog.records) == pytest.approx(burst + rate * hours * 3600, abs=1)
    assert sum(len(record.getMessage()) for record in caplog.records) < 200_000


def test_what_was_left_out_is_counted(log, clock, caplog):
    said = 0
    for _ in range(3):
        for _ in range(100):
            log.warning("again")
            said += 1
        clock.now += 3600
    log.warning("last")
    told = sum(getattr(record, "left_out", 0) for record in caplog.records)
    assert len(caplog.records) + told == said + 1
    assert "lines before this one were left out" in caplog.records[-1].getMessage()


def test_after_a_storm_it_is_heard_again(log, clock, caplog):
    for _ in range(10_000):
        log.warning("storm")
    clock.now += 1 / LINES[1]
    caplog.clear()
    log.warning("calm")
    assert len(caplog.records) == 1


def test_what_is_not_asked_for_costs_nothing(log, caplog):
    caplog.set_level(logging.WARNING)
    for _ in range(1000):
        log.info("usual")
    log.warning("unusual")
    assert [record.getMessage() for record in caplog.records] == ["channel 2 of domain 5: unusual"]


def line(record):
    text = JsonFormatter().format(record)
    assert "\n" not in text
    return json.loads(text)


def test_json_has_the_fields(log, caplog):
    log.warning("two\nlines \x1b[31m")
    found = line(caplog.records[0])
    assert found.pop("time").endswith("Z")
    assert found == {
        "level": "warning",
        "logger": "xenwire.channels",
        "message": "channel 2 of domain 5: two\nlines \x1b[31m",
        "domid": 5,
        "devid": 2,
    }


def test_json_has_the_time_in_utc():
    record = logging.makeLogRecord({"created": 86400.25, "msecs": 250.0, "msg": "x"})
    assert line(record)["time"] == "1970-01-02T00:00:00.250Z"


def test_json_has_exceptions_and_odd_values():
    try:
        raise ValueError("no")
    except ValueError as error:
        record = logging.LogRecord("a", logging.ERROR, "f", 1, "m", (), (type(error), error, None))
    record.path = object()
    found = line(record)
    assert found["exception"] == "ValueError: no"
    assert found["path"].startswith("<object")
