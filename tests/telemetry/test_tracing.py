"""Spans reach a collector, go on across processes, and cost nothing where nobody wants them."""

import subprocess
import sys
import time

import pytest

from telemetry.tracing import TracingError, tracer
from tests.telemetry.collector import collecting


def test_nothing_is_loaded_where_no_endpoint_is_named() -> None:
    program = (
        "import sys\nfrom telemetry.tracing import tracer\nassert tracer('gateway', None) is None\n"
        "assert not [m for m in sys.modules if m.startswith('opentelemetry')]"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env={}, cwd=sys.path[0] or ".")


def test_a_trace_goes_on_in_another_process() -> None:
    with collecting() as collector:
        here, there = tracer("gateway", collector.url), tracer("worker", collector.url + "/")
        assert here is not None and there is not None
        frame = here.begin("frame")
        frame.end()
        question = here.begin("question", attributes={"session": "abc"})
        began = time.monotonic()
        answer = there.begin("answer", question.traceparent, links=[frame.traceparent], at=began)
        there.record("prefill", answer.traceparent, began, began + 0.25)
        answer.event("first_token")
        answer.end({"tokens": 3}, error="it broke")
        question.end()
        here.close()
        there.close()
        spans = {span.name: span for span in collector.spans}
    assert set(spans) == {"frame", "question", "answer", "prefill"}
    asked, told, read = spans["question"], spans["answer"], spans["prefill"]
    assert asked.trace == told.trace == read.trace != spans["frame"].trace
    assert (told.parent, read.parent, asked.parent) == (asked.id, told.id, "")
    assert told.links == (spans["frame"].trace,)
    assert told.events == ("first_token",) and told.failed and not asked.failed
    assert told.attributes == {"tokens": 3} and asked.attributes == {"session": "abc"}
    assert read.ended - read.began == pytest.approx(0.25, abs=0.001)
    assert abs(read.began - time.time()) < 30
    assert (asked.service, told.service) == ("lookback-gateway", "lookback-worker")


def test_the_standard_variable_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        ours = tracer("gateway", None)
        assert ours is not None
        ours.begin("frame", "00-" + "a" * 32 + "-" + "b" * 16 + "-01").end()
        ours.begin("other", "nonsense from somebody").end()
        ours.close()
        [frame, other] = sorted(collector.spans, key=lambda span: span.name)
    assert (frame.trace, frame.parent) == ("a" * 32, "b" * 16)
    assert other.parent == ""


def test_a_wrong_address_is_refused_in_words() -> None:
    with pytest.raises(TracingError, match="write http://host:4318"):
        tracer("worker", "collector:4317")


def test_a_library_that_is_missing_is_named() -> None:
    program = (
        "import sys\nsys.modules['opentelemetry'] = None\n"
        "from telemetry.tracing import TracingError, tracer\n"
        "try:\n    tracer('worker', 'http://x:1')\nexcept TracingError as e:\n    print(e)\n"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "pip install 'lookback[tracing]'" in said.stdout, said.stderr
