"""A burst at once, and no more than the rate after it."""

import time

from server.rate import Rate


def test_a_burst_passes_and_then_the_rate_holds() -> None:
    rate = Rate(per_second=50, burst=3)
    began = time.monotonic()
    assert [rate.allows() for _ in range(4)] == [True, True, True, False]
    passed = 3
    while time.monotonic() - began < 0.2:
        passed += rate.allows()
        time.sleep(0.001)
    assert 4 <= passed <= 3 + 50 * (time.monotonic() - began) + 1


def test_what_was_not_used_is_not_saved_up() -> None:
    rate = Rate(per_second=1000, burst=2)
    time.sleep(0.05)
    assert [rate.allows() for _ in range(2)] == [True, True]


def test_how_long_to_wait() -> None:
    rate = Rate(per_second=0.1, burst=1)
    assert rate.wait_seconds() == 0
    assert rate.allows()
    assert 9 < rate.wait_seconds() <= 10
