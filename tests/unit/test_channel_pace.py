"""How often something may happen."""

import pytest

from xenwire.channels.pace import Pace


def test_a_burst_goes_at_once_and_the_rest_waits():
    pace = Pace(3, 10.0)
    assert [pace.spend(0.0) for _ in range(5)] == pytest.approx([0, 0, 0, 0.1, 0.2])


def test_who_has_waited_may_go_on():
    pace = Pace(3, 10.0)
    for _ in range(3):
        pace.spend(0.0)
    assert pace.spend(0.1) == pytest.approx(0)
    assert pace.spend(0.1) == pytest.approx(0.1)


def test_rest_is_not_saved_for_ever():
    pace = Pace(3, 10.0)
    assert [pace.spend(1000.0) for _ in range(4)] == pytest.approx([0, 0, 0, 0.1])


def test_the_long_run():
    pace, now = Pace(5, 50.0), 0.0
    for _ in range(1000):
        now += pace.spend(now)
    assert now == pytest.approx((1000 - 5) / 50)
