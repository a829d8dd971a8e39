"""The first sender holds the port, until it shows nothing any more."""

from server.rtp_source import Source, SourceLock

SENDER: Source = (("10.0.0.7", 5000), 1)
STRANGER: Source = (("10.0.0.8", 5000), 2)
RESTARTED: Source = (("10.0.0.7", 5001), 3)
ANEW: Source = (("10.0.0.7", 5000), 4)


def _held() -> SourceLock:
    lock = SourceLock(None, 5.0)
    assert lock.admits(SENDER, 0.0) and lock.holder == SENDER
    return lock


def test_a_stranger_is_kept_out_as_long_as_there_are_pictures() -> None:
    lock = _held()
    for second in range(1, 100):
        lock.shown(float(second))
        assert lock.admits(SENDER, float(second))
        assert not lock.admits(STRANGER, second + 0.5)
    assert lock.holder == SENDER
    assert not lock.admits(STRANGER, 104.0)
    assert lock.admits(STRANGER, 104.1) and lock.holder == STRANGER
    assert not lock.admits(SENDER, 104.2)  # it has just left


def test_packets_without_pictures_do_not_hold_the_port() -> None:
    lock = _held()
    for tenth in range(60):
        assert lock.admits(SENDER, tenth / 10)
    assert lock.admits(STRANGER, 6.0)
    lock.shown(6.1)
    for tenth in range(61, 110):
        assert not lock.admits(SENDER, tenth / 10)


def test_a_restarted_sender_is_back_at_once_or_after_two_seconds() -> None:
    lock = _held()
    assert lock.admits(ANEW, 0.1) and lock.holder == ANEW
    assert not lock.admits(SENDER, 0.2)  # a late packet
    lock = _held()
    lock.shown(10.0)
    lock.admits(SENDER, 10.0)
    assert not lock.admits(RESTARTED, 11.9)
    assert lock.admits(RESTARTED, 12.1)


def test_only_the_source_may_hold_the_port() -> None:
    lock = SourceLock("10.0.0.8", 5.0)
    assert not lock.admits(SENDER, 0.0) and lock.holder is None
    assert lock.admits(STRANGER, 0.0)
    assert not lock.admits(SENDER, 60.0)
