"""Who has a session, and what is told when that changes."""

from typing import Any

from messages.sessions import SessionMoved
from server.tenure import Tenure


def test_nobody_is_blamed_before_time_and_who_is_back_is_told() -> None:
    told: list[dict[str, Any]] = []
    tenure = Tenure("s", "one", told.append)
    assert tenure.seen("one", 1.0) is None and tenure.ownerless_seconds(9.0) == 0.0
    assert tenure.seen(None, 10.0) is None and tenure.seen(None, 11.0) is None
    assert tenure.ownerless_seconds(12.5) == 2.5
    assert tenure.seen("one", 13.0) is None and tenure.ownerless_seconds(14.0) == 0.0
    assert told == []
    tenure.look_for_another()
    assert tenure.moving and told[-1]["type"] == "lookback.session.moving"
    back = tenure.seen("one", 15.0)
    assert back is not None and (back.restored, back.lost_seconds) == (True, 0.0)
    tenure.moved(back)
    assert not tenure.moving and told[-1]["type"] == "lookback.session.moved"


def test_another_worker_speaks_for_itself() -> None:
    told: list[dict[str, Any]] = []
    tenure = Tenure("s", "one", told.append)
    tenure.look_for_another()
    assert tenure.seen("two", 1.0) is None and tenure.moving
    tenure.moved(SessionMoved("s", "two", False, None, False, "lost"))
    assert (tenure.worker, tenure.moving) == ("two", False)
    assert told[-1]["message"] == "lost" and told[-1]["restored"] is False
