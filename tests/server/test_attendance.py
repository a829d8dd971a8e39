"""A session lives while somebody needs it, and a while longer."""

import time

from server.attendance import Attendance
from server.settings import GatewaySettings

SETTINGS = GatewaySettings(orphan_seconds=6, idle_seconds=60, quiet_seconds=1800, return_seconds=90)


def expired(attendance: Attendance, after: float, websockets: int = 0, **at: float) -> str | None:
    """After so many seconds; the others are seconds from now, too."""
    now = time.monotonic()
    frame, sender = (now + at[name] if name in at else None for name in ("frame", "sender"))
    return attendance.expired(now + after, websockets, frame, sender)


def test_nobody_came() -> None:
    attendance = Attendance(SETTINGS)
    assert expired(attendance, 59) is None
    assert expired(attendance, 61) == "Nobody joined it."


def test_the_last_has_gone() -> None:
    attendance = Attendance(SETTINGS)
    attendance.came()
    assert expired(attendance, 5) is None and expired(attendance, 7)
    assert expired(attendance, 7, frame=3) is None and expired(attendance, 10, frame=3)
    assert expired(attendance, 1000, websockets=1) is None


def test_a_sender_may_come_back() -> None:
    attendance = Attendance(SETTINGS)
    attendance.came()
    assert expired(attendance, 80, sender=0) is None and expired(attendance, 95, sender=0)


def test_a_joined_session_is_quiet_too_long() -> None:
    attendance = Attendance(SETTINGS)
    attendance.came()
    assert expired(attendance, 1801, websockets=1) == "Nothing was seen or asked for too long."
    assert expired(attendance, 1801, websockets=1, frame=100) is None


def test_whoever_attends_without_a_websocket_keeps_it() -> None:
    attendance = Attendance(SETTINGS)
    with attendance.attended(30), attendance.attended():
        assert expired(attendance, 1000) is None
    assert expired(attendance, 35) is None and expired(attendance, 37)
    attendance.left()
    assert expired(attendance, 35) is None, "who goes early takes nothing from the others"
