"""A response has the shape of the Realtime API, whatever becomes of it."""

from typing import Any

import pytest

from messages.answers import AnswerDone, AnswerStarted, Span
from messages.questions import Ask
from server.response import Response


def response() -> Response:
    return Response(Ask("s", "resp_1", "what?", metadata={"tab": "2"}))


def test_before_the_worker_has_begun_nothing_is_known_of_its_basis() -> None:
    body = response().body("in_progress")
    assert (body["status"], body["output"], body["usage"]) == ("in_progress", [], None)
    assert body["lookback"] == {
        "question": "what?",
        "span": None,
        "newest_frame_age": None,
        "turns_kept": None,
        "turns_forgotten": None,
    }


def test_what_the_answer_rests_on_is_told() -> None:
    answer = response()
    answer.started = AnswerStarted("s", "resp_1", Span(1.0, 9.0, 0.5), 3, 2)
    assert answer.lookback() == {
        "span": [1.0, 9.0],
        "newest_frame_age": 0.5,
        "turns_kept": 3,
        "turns_forgotten": 2,
    }


@pytest.mark.parametrize(
    ("status", "details"),
    [
        ("completed", None),
        ("cancelled", {"type": "cancelled", "reason": "client_cancelled"}),
        ("incomplete", {"type": "incomplete", "reason": "max_output_tokens"}),
    ],
)
def test_an_end_says_why(status: Any, details: Any) -> None:
    answer = response()
    answer.opened, answer.text = True, "a cup"
    body = answer.body(status, AnswerDone("s", "resp_1", status, "a cup", "", 11, 2, 0.25, 0.5))
    assert body["status_details"] == details
    [item] = body["output"]
    assert item["content"] == [{"type": "output_text", "text": "a cup"}]
    assert item["status"] == ("completed" if status == "completed" else "incomplete")
    assert body["usage"] == {"input_tokens": 11, "output_tokens": 2, "total_tokens": 13}
    lookback = body["lookback"]
    assert (lookback["ttft_seconds"], lookback["queue_seconds"]) == (0.5, 0.25)


def test_a_failure_has_a_message() -> None:
    body = response().body("failed", AnswerDone("s", "resp_1", "failed", message="It broke."))
    assert body["status_details"]["message"] == body["status_details"]["error"]["message"]
    assert body["status_details"]["message"] == "It broke."
    assert response().body("failed")["status_details"]["message"]
