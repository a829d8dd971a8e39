"""A worker's spans go on with those of the gateway, and are none where no trace came."""

import time
from types import SimpleNamespace
from typing import Any

from messages.frames import Frame
from messages.questions import Ask
from model_worker.seat import Reply
from model_worker.traces import Traces
from telemetry.tracing import tracer
from tests.telemetry.collector import collecting

PARENT = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
NEWEST = "00-" + "c" * 32 + "-" + "d" * 16 + "-01"
SESSION = "a-session-with-a-long-id"


def _reply(trace: str | None, first: float | None) -> Reply:
    answer: Any = SimpleNamespace(prompt_tokens=9, completion_tokens=3, status="completed")
    now = time.monotonic()
    ask = Ask(SESSION, "r", "What?", trace=trace)
    reply = Reply(ask, answer, now - 3, now - 2, 0.1)
    reply.first_token_at = None if first is None else now - first
    return reply


def test_an_answer_is_told_by_its_parts() -> None:
    with collecting() as collector:
        sender = tracer("worker", collector.url)
        assert sender is not None
        traces = Traces(sender, "w1", "tiny")
        traces.answered(_reply(PARENT, 1.0), NEWEST, time.monotonic())
        traces.answered(_reply(None, 1.0), NEWEST, time.monotonic())
        traces.watched(Frame(SESSION, 7, 1.0, 2.0, b"", trace=NEWEST), 1.0, 2.0)
        traces.watched(Frame(SESSION, 8, 1.0, 2.0, b""), 1.0, 2.0)
        sender.close()
        spans = {span.name: span for span in collector.spans}
        assert len(collector.spans) == 5
    answer = spans["answer"]
    assert (answer.trace, answer.parent, answer.links) == ("a" * 32, "b" * 16, ("c" * 32,))
    assert {name for name, s in spans.items() if s.parent == answer.id} == {
        "queue",
        "prefill",
        "decode",
    }
    for name in ("queue", "prefill", "decode"):
        assert 0.9 < spans[name].ended - spans[name].began < 1.2
    watched = spans["watch"]
    assert (watched.trace, watched.attributes["lookback.frame"]) == ("c" * 32, 7)
    assert not any(SESSION in str(span) for span in spans.values())


def test_an_answer_without_a_token_has_no_decoding() -> None:
    with collecting() as collector:
        sender = tracer("worker", collector.url)
        assert sender is not None
        Traces(sender).answered(_reply(PARENT, None), None, time.monotonic())
        sender.close()
        assert {span.name for span in collector.spans} == {"answer", "queue", "prefill"}


def test_without_a_tracer_nothing_is_told() -> None:
    Traces().answered(_reply(PARENT, 1.0), NEWEST, 0.0)
    Traces().watched(Frame(SESSION, 7, 1.0, 2.0, b"", trace=NEWEST), 1.0, 2.0)
