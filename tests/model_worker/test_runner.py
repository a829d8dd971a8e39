"""Sessions on one thread, with a tiny model: what goes in, what comes out, what goes wrong."""

import time

import pytest

from messages.answers import AnswerDelta, AnswerDone, AnswerStarted
from messages.frames import Frame, FrameRejected
from messages.keys import RING
from messages.memory import DescribeMemory, MemoryDescribed
from messages.questions import Ask, Cancel
from messages.sessions import (
    CloseSession,
    MemoryStatus,
    OpenSession,
    SessionClosed,
    SessionOpened,
)
from model_worker.engine import Engine
from model_worker.mailbox import Abandon, Lost
from model_worker.runner import STATUS_SECONDS
from model_worker.session import Session
from tests.model_worker.driven import Driven, frame, watch


def test_a_session_opens_watches_answers_and_closes(driven: Driven, llava: Engine) -> None:
    driven.hear(OpenSession("a"))
    [opened] = driven.all(SessionOpened)
    assert opened.kv_bytes == llava.session_bytes(llava.default_budget_tokens)
    assert driven.runner.kv_bytes_used == opened.kv_bytes
    watch(driven, 3)
    driven.hear(Ask("a", "r1", "what?", max_tokens=5)).work()
    [started] = driven.all(AnswerStarted)
    assert started.span is not None
    assert (started.span.start, started.span.end) == (0.0, 2.0)
    [done] = driven.all(AnswerDone)
    deltas = driven.all(AnswerDelta)
    assert [delta.index for delta in deltas] == list(range(len(deltas)))
    assert done.text == "".join(delta.text for delta in deltas)
    assert done.status in ("completed", "incomplete")
    assert 0 <= done.queue_seconds <= done.ttft_seconds
    assert driven.said.index(started) < driven.said.index(deltas[0]) < driven.said.index(done)
    driven.hear(CloseSession("a"))
    assert driven.all(SessionClosed) == [SessionClosed("a", "closed")]
    assert (driven.runner.sessions, driven.runner.kv_bytes_used) == (0, 0)


def test_memory_is_told_after_it_changed_and_not_too_often(driven: Driven) -> None:
    driven.hear(OpenSession("a"))
    began = time.monotonic()
    watch(driven, 20)
    lasted = time.monotonic() - began
    time.sleep(STATUS_SECONDS)
    driven.work()
    told = driven.all(MemoryStatus)
    assert 1 <= len(told) <= lasted / STATUS_SECONDS + 2
    assert told[-1].frames_seen == 20
    assert told[-1].newest_captured_at == 1019.0
    assert told[-1].peak_tokens <= told[-1].cap_tokens
    time.sleep(STATUS_SECONDS)
    driven.work()
    assert driven.all(MemoryStatus) == told  # nothing changed


def test_unusable_frames_are_rejected_and_the_session_goes_on(driven: Driven) -> None:
    driven.hear(OpenSession("a"))
    watch(driven, 2)
    driven.hear(Frame("a", 2, 2.0, 0.0, b"junk")).work()
    driven.hear(frame(3, timestamp=0.5)).work()
    watch(driven, 1, start=4)
    assert [rejected.number for rejected in driven.all(FrameRejected)] == [2, 3]
    time.sleep(STATUS_SECONDS)
    driven.work()
    assert driven.all(MemoryStatus)[-1].frames_seen == 3
    assert driven.all(MemoryStatus)[-1].frames_dropped == 0


def test_frames_are_watched_while_an_answer_is_written(driven: Driven) -> None:
    driven.hear(OpenSession("a"))
    watch(driven, 1)
    driven.hear(Ask("a", "r1", "what?", max_tokens=30, temperature=2.0, seed=1))
    driven.work(lambda: bool(driven.all(AnswerDelta)))
    driven.hear(frame(1), frame(2)).work()
    done = next(i for i, m in enumerate(driven.said) if isinstance(m, AnswerDone))
    time.sleep(STATUS_SECONDS)
    driven.work()
    assert driven.all(MemoryStatus)[-1].frames_seen == 3
    assert done


def test_words_come_between_a_frames_tower_and_its_decoder(
    driven: Driven, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model_worker.scheduler.PATIENCE_SECONDS", 0.0)
    driven.hear(OpenSession("a"), OpenSession("b"))
    watch(driven, 1, "a")
    driven.hear(Ask("a", "r1", "what?", max_tokens=30, temperature=2.0, seed=1))
    driven.work(lambda: bool(driven.all(AnswerDelta)))
    adapter, rows = driven.runner._engine.adapter, []
    encode, forward = adapter.encode, adapter.forward
    monkeypatch.setattr(adapter, "encode", lambda *a: (rows.append("tower"), encode(*a))[1])
    monkeypatch.setattr(adapter, "forward", lambda *a: (rows.append(len(a[0])), forward(*a))[1])
    driven.hear(frame(0, "b"))
    driven.runner.turn()
    driven.hear(Ask("b", "r2", "what?", max_tokens=2))
    driven.runner.turn()
    assert rows == ["tower", 1, 1 + adapter.most_tokens_per_unit]
    driven.hear(frame(1, "b"), CloseSession("b"))  # nothing is left of what was half seen
    driven.work()
    assert driven.all(AnswerDone)[0].status in ("completed", "incomplete")
    assert not driven.all(SessionClosed, "a")


def test_a_session_that_closes_with_half_seen_frames_leaves_nothing(
    driven: Driven, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model_worker.scheduler.PATIENCE_SECONDS", 0.0)
    driven.hear(OpenSession("a"), OpenSession("b"))
    watch(driven, 1, "a")
    driven.hear(Ask("a", "r1", "what?", max_tokens=30, temperature=2.0, seed=1))
    driven.work(lambda: bool(driven.all(AnswerDelta)))
    driven.hear(frame(0, "b"))
    driven.runner.turn()
    driven.hear(CloseSession("b"), OpenSession("c")).work()
    assert driven.all(SessionClosed, "b") == [SessionClosed("b", "closed")]
    assert driven.all(AnswerDone)[0].status in ("completed", "incomplete")
    watch(driven, 2, "c")
    assert driven.runner.sessions == 2


def test_frames_that_must_wait_for_an_answer_are_neither_lost_nor_fatal(driven: Driven) -> None:
    driven.hear(OpenSession("a"))
    watch(driven, 32)  # the cap: the next frame needs a compression pass
    driven.hear(Ask("a", "r1", "what?", max_tokens=20, temperature=2.0, seed=1))
    driven.work(lambda: bool(driven.all(AnswerDelta)))
    driven.hear(frame(32), frame(33)).work()
    time.sleep(STATUS_SECONDS)
    driven.work()
    assert not driven.all(SessionClosed)
    assert driven.all(MemoryStatus)[-1].frames_seen == 34
    assert driven.all(MemoryStatus)[-1].frames_dropped == 0


def test_no_frame_is_lost_for_a_question_that_waits(driven: Driven) -> None:
    """Compression waits for waiting questions, but not longer than the ring of frames holds."""
    driven.hear(OpenSession("a"))
    watch(driven, 32)  # the cap
    driven.hear(Ask("a", "r1", "what?", max_tokens=40, temperature=2.0, seed=1))
    driven.work(lambda: bool(driven.all(AnswerDelta)))
    driven.hear(*(Ask("a", f"r{i}", "what?", max_tokens=2) for i in (2, 3)))
    driven.hear(*(frame(number) for number in range(32, 32 + RING))).work()
    time.sleep(STATUS_SECONDS)
    driven.work()
    ends = [started.span.end for started in driven.all(AnswerStarted) if started.span]
    assert ends[0] == 31.0
    assert ends == sorted(ends)
    assert driven.all(MemoryStatus)[-1].frames_seen == 32 + RING
    assert driven.all(MemoryStatus)[-1].frames_dropped == 0


def test_the_memory_is_described_when_somebody_asks(driven: Driven) -> None:
    driven.hear(OpenSession("a"), DescribeMemory("a"))
    watch(driven, 50)
    driven.hear(DescribeMemory("a"))
    empty, described = driven.all(MemoryDescribed)
    assert (empty.frames, empty.shares, empty.tokens) == ([], b"", 0)
    assert described.frames[-1] == 49.0
    assert len(described.shares) == len(described.frames) * described.patches
    assert described.shares[-described.patches :] == b"\xff" * described.patches
    assert described.tokens + described.next_compression_tokens == described.cap_tokens
    assert described.compressions > 0


@pytest.mark.parametrize("broken", ["prepare", "ask", "can_watch"])
def test_a_session_whose_model_fails_hurts_no_other(
    driven: Driven, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    monkeypatch.setattr("model_worker.scheduler.PATIENCE_SECONDS", 0.0)
    driven.hear(OpenSession("a"), OpenSession("b"))
    watch(driven, 1, "a")
    watch(driven, 1, "b")
    poisoned = driven.seat("a").memory
    whole = getattr(Session, broken)

    def fail(self: Session, *given: object) -> object:
        if self is poisoned:
            raise RuntimeError("out of luck")
        return whole.fget(self) if isinstance(whole, property) else whole(self, *given)

    replaced = property(fail) if isinstance(whole, property) else fail
    monkeypatch.setattr(Session, broken, replaced)
    for session in "ab":
        driven.hear(frame(1, session), Ask(session, "r", "what?", max_tokens=2))
    driven.work()
    [closed] = driven.all(SessionClosed)
    assert closed.reason == "failed"
    assert "out of luck" in closed.message
    assert [done.status for done in driven.all(AnswerDone)] == ["failed"]
    [done] = driven.all(AnswerDone, "b")
    assert done.status in ("completed", "incomplete")
    assert driven.runner.sessions == 1


def test_abandoned_sessions_are_told_why(driven: Driven) -> None:
    driven.hear(OpenSession("a"), Abandon("a"))
    assert driven.all(SessionClosed)[0].reason == "abandoned"


def test_a_worker_that_leaves_says_what_it_has_not_answered(driven: Driven) -> None:
    driven.hear(OpenSession("a"), OpenSession("b"))
    watch(driven, 1, "b")
    driven.hear(Ask("b", "r", "what?"), Ask("b", "s", "where?"))
    driven.runner.turn()
    assert driven.runner.leave() == ["a", "b"]
    assert [done.status for done in driven.all(AnswerDone, "b")] == ["failed", "failed"]
    assert driven.all(SessionClosed, "b") == []  # they go on elsewhere
    assert driven.runner.sessions == driven.runner.kv_bytes_used == 0


def test_a_session_that_is_lost_to_another_worker_is_freed_without_a_word(driven: Driven) -> None:
    driven.hear(OpenSession("a"))
    said = len(driven.said)
    driven.hear(Lost("a"), Lost("unknown"))
    assert driven.runner.sessions == 0
    assert len(driven.said) == said


def test_messages_for_unknown_sessions_are_left_alone(driven: Driven) -> None:
    driven.hear(frame(0), Ask("a", "r", "?"), Cancel("a", "r"), CloseSession("a"), Abandon("a"))
    assert driven.said == []
    assert not driven.runner.turn()
