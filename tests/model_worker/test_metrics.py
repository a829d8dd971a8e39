"""What a worker counts is what happened, under the names that LLM servers use."""

from messages.answers import AnswerDone
from messages.frames import Frame, FrameRejected
from messages.sessions import SessionClosed, SessionMoved, SessionRefused
from model_worker.metrics import Now, WorkerMetrics

MODEL = {"model_name": "tiny"}
FRAME = Frame("s", 1, 1.0, 0.0, b"")


def _read(metrics: WorkerMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"lookback_{name}", MODEL | labels)


def test_answers_are_counted_by_why_they_ended_with_their_tokens() -> None:
    metrics = WorkerMetrics("tiny")
    metrics.note(AnswerDone("s", "r1", "completed", "a b", "", 100, 2))
    metrics.note(AnswerDone("s", "r2", "incomplete", "a", "", 50, 1))
    metrics.note(AnswerDone("s", "r3", "cancelled"))
    metrics.note(AnswerDone("s", "r4", "failed"))
    metrics.note(AnswerDone("s", "r5", "failed"))
    reasons = {"stop": 1, "length": 1, "abort": 1, "error": 2}
    for reason, count in reasons.items():
        assert _read(metrics, "request_success_total", finished_reason=reason) == count
    assert _read(metrics, "prompt_tokens_total") == 150
    assert _read(metrics, "generation_tokens_total") == 3


def test_what_befalls_sessions_and_frames_is_counted_by_cause() -> None:
    metrics = WorkerMetrics("tiny")
    metrics.note(FrameRejected("s", 1, "no"))
    metrics.dropped(3)
    metrics.dropped(0)
    metrics.seen(FRAME, 0.2)
    metrics.seen(FRAME, -5.0)  # the gateway's clock is ahead
    metrics.note(SessionMoved("s", "w", True, 0.0, True))
    metrics.note(SessionMoved("s", "w", False, None, False))
    metrics.note(SessionRefused("s", "full", 5.0))
    metrics.note(SessionRefused("s", "never"))
    metrics.note(SessionClosed("s", "abandoned"))
    assert _read(metrics, "frames_dropped_total", cause="rejected") == 1
    assert _read(metrics, "frames_dropped_total", cause="ring") == 3
    assert _read(metrics, "frames_total", fate="seen") == 2
    assert _read(metrics, "frame_age_seconds_sum") == 0.2
    assert _read(metrics, "takeovers_total", memory="restored") == 1
    assert _read(metrics, "takeovers_total", memory="lost") == 1
    assert _read(metrics, "sessions_refused_total", reason="full") == 1
    assert _read(metrics, "sessions_refused_total", reason="impossible") == 1
    assert _read(metrics, "sessions_closed_total", reason="abandoned") == 1


def test_a_scrape_tells_the_state_of_that_moment() -> None:
    metrics = WorkerMetrics("tiny")
    state = Now(kv_bytes=1000)
    metrics.watch(lambda: state)
    assert _read(metrics, "kv_cache_usage_perc") == 0
    state = Now(
        sessions={"default": 2, "larger": 1},
        kv_bytes_used={"default": 200, "larger": 300},
        kv_bytes=1000,
        running=2,
        waiting=5,
        ready=True,
    )
    assert _read(metrics, "kv_cache_usage_perc") == 0.5
    assert _read(metrics, "kv_cache_used_bytes", budget="larger") == 300
    assert _read(metrics, "kv_cache_used_bytes", budget="smaller") == 0
    assert _read(metrics, "sessions", budget="default") == 2
    assert _read(metrics, "num_requests_running") == 2
    assert _read(metrics, "num_requests_waiting") == 5
    assert _read(metrics, "worker_ready") == 1
    assert _read(metrics, "worker_draining") == 0


def test_every_counter_is_there_before_it_first_counts() -> None:
    metrics = WorkerMetrics("tiny")
    assert _read(metrics, "lease_losses_total") == 0
    assert _read(metrics, "snapshots_total", outcome="failed") == 0
    assert _read(metrics, "frames_dropped_total", cause="ring") == 0
    assert _read(metrics, "takeovers_total", memory="lost") == 0


def test_the_cards_figures_are_the_latest() -> None:
    metrics = WorkerMetrics("tiny")
    assert (metrics.recent.ttft, metrics.recent.frame_age) == (None, None)
    metrics.first_token(0.4)
    metrics.first_token(0.2)
    metrics.seen(FRAME, 0.1)
    assert (metrics.recent.ttft, metrics.recent.frame_age) == (0.2, 0.1)
    assert _read(metrics, "time_to_first_token_seconds_count") == 2
