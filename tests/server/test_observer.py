"""What is noted of answers: times, and words only where they are asked for."""

import logging

import pytest

from messages.answers import AnswerDone
from messages.questions import Ask
from server.errors import ServiceError
from server.observer import Observer

ASK = Ask("session-with-a-long-id", "resp_0123456789abcdef", "Where is my red cup?")
DONE = AnswerDone(ASK.session, ASK.response, "completed", "On the shelf.", "", 40, 4)


def _ended(observer: Observer) -> None:
    asked = observer.asked(ASK)
    assert asked.trace is None
    observer.first(asked)
    observer.first(asked)  # the first one counts
    observer.ended(asked, "completed", "On the shelf.", DONE)


def test_an_answer_is_one_line_without_its_words(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    observer = Observer()
    _ended(observer)
    [record] = caplog.records
    assert record.getMessage().startswith("answer resp_01234567 completed in 0.0")
    assert record.__dict__["completion_tokens"] == 4
    everything = f"{record.getMessage()} {record.__dict__}"
    assert "cup" not in everything and "shelf" not in everything
    assert ASK.response not in everything and len(observer.first_text) == 1
    value = observer.metrics.registry.get_sample_value
    assert value("lookback_gateway_requests_total", {"status": "completed"}) == 1
    assert value("lookback_gateway_time_to_first_token_seconds_count") == 1


def test_its_words_are_logged_where_they_are_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    _ended(Observer(contents=True))
    [record] = caplog.records
    assert record.__dict__["question"] == ASK.text and "On the shelf." in record.getMessage()


def test_a_session_that_is_refused_is_counted_and_still_refused() -> None:
    observer = Observer()
    with pytest.raises(ServiceError), observer.opening():
        raise ServiceError("no_room", "Full.")
    value = observer.metrics.registry.get_sample_value
    assert value("lookback_gateway_sessions_refused_total", {"code": "no_room"}) == 1


def test_of_many_answers_the_latest_are_kept() -> None:
    observer = Observer()
    for _ in range(300):
        observer.first(observer.asked(ASK))
    assert len(observer.first_text) == 256
