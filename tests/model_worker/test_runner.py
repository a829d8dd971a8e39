"""Sessions on one thread, with a tiny model: what goes in, what comes out, what goes wrong."""

import time
from collections.abc import Callable
from typing import TypeVar

import cv2
import numpy as np
import pytest
from msgspec.structs import replace

from messages.answers import AnswerDelta, AnswerDone, AnswerStarted
from messages.codec import ToGateway
from messages.files import SaveSession
from messages.frames import Frame, FrameRejected
from messages.keys import RING
from messages.memory import DescribeMemory, MemoryDescribed
from messages.questions import Ask, Cancel
from messages.sessions import (
    CloseSession,
    MemoryStatus,
    OpenSession,
    SessionClosed,
    SessionMoved,
    SessionOpened,
    SessionRefused,
)
from model_worker.admission import Admission
from model_worker.engine import Engine
from model_worker.mailbox import Abandon, Import, Lost, Mail, Resume
from model_worker.runner import STATUS_SECONDS, Runner
from model_worker.saving import Saving
from model_worker.scheduler import MAX_WAITING_QUESTIONS
from model_worker.seat import Seat
from model_worker.session import Session
from model_worker.snapshot import Snapshot
from model_worker.snapshot_reader import SnapshotReader

T = TypeVar("T")


class Driven:
    """A runner, and all that it said."""

    def __init__(self, engine: Engine, admission: Admission, budget_tokens: int) -> None:
        self.said: list[ToGateway] = []
        self.give: Callable[[str, Callable[[], Snapshot]], None] = lambda channel, make: None
        self.runner = Runner(
            engine,
            self.said.append,
            admission,
            budget_tokens=budget_tokens,
            policy="infinipot_v",
            saving=Saving(engine, give=lambda channel, make: self.give(channel, make)),
        )

    def seat(self, session: str) -> Seat:
        found = self.runner._seats.get(session)
        assert found is not None
        return found

    def ids(self, text: str) -> list[int]:
        tokenizer = self.runner._engine.adapter.tokenizer
        return list(tokenizer(text, add_special_tokens=False).input_ids)

    def hear(self, *mail: Mail) -> "Driven":
        for message in mail:
            self.runner.handle(message)
        return self

    def work(self, until: Callable[[], bool] | None = None) -> "Driven":
        """Turns until there is no work, or until the condition holds."""
        deadline = time.monotonic() + 60
        while not (until and until()) and (self.runner.turn() or until):
            assert time.monotonic() < deadline
        return self

    def all(self, kind: type[T], session: str = "a") -> list[T]:
        return [m for m in self.said if isinstance(m, kind) and m.session == session]  # type: ignore[attr-defined]


@pytest.fixture
def driven(llava: Engine) -> Driven:
    return Driven(llava, Admission(2), llava.default_budget_tokens)


def frame(number: int, session: str = "a", timestamp: float | None = None) -> Frame:
    pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    jpeg = bytes(cv2.imencode(".jpg", pixels)[1])
    stamp = float(number) if timestamp is None else timestamp
    return Frame(session, number, stamp, 1000.0 + number, jpeg)


def watch(driven: Driven, count: int, session: str = "a", start: int = 0) -> None:
    for number in range(start, start + count):
        driven.hear(frame(number, session)).work()


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


def test_no_room_is_refused_for_now_and_the_infeasible_for_good(driven: Driven) -> None:
    driven.hear(OpenSession("a"), OpenSession("b"), OpenSession("c"), OpenSession("d", 1))
    [full] = driven.all(SessionRefused, "c")
    assert full.retry_after is not None
    driven.hear(CloseSession("a"), OpenSession("c"), CloseSession("c"), OpenSession("d", 1))
    assert driven.all(SessionOpened, "c")
    assert [refused.retry_after for refused in driven.all(SessionRefused, "d")][-1] is None
    assert "budget" in driven.all(SessionRefused, "d")[-1].message


def test_opening_twice_is_told_twice_and_reserves_once(driven: Driven) -> None:
    driven.hear(OpenSession("a"), OpenSession("a"))
    assert len(driven.all(SessionOpened)) == 2
    assert driven.runner.sessions == 1


def test_kv_bytes_limit_sessions(llava: Engine) -> None:
    budget = llava.default_budget_tokens
    driven = Driven(llava, Admission(9, llava.session_bytes(budget) * 3 // 2), budget)
    driven.hear(OpenSession("a"), OpenSession("b"), OpenSession("c", budget * 10))
    assert driven.all(SessionOpened)
    [no_room], [never] = driven.all(SessionRefused, "b"), driven.all(SessionRefused, "c")
    assert no_room.retry_after is not None
    assert never.retry_after is None


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


def test_two_sessions_are_answered_at_the_same_time(driven: Driven) -> None:
    driven.hear(OpenSession("a"), OpenSession("b"))
    watch(driven, 2, "a")
    watch(driven, 2, "b", start=10)
    more = {"max_tokens": 12, "temperature": 2.0, "seed": 3}
    driven.hear(Ask("a", "ra", "what?", **more), Ask("b", "rb", "what?", **more)).work()  # type: ignore[arg-type]
    kinds = [m.session for m in driven.said if isinstance(m, AnswerDelta)]
    first_b, last_a = kinds.index("b"), len(kinds) - 1 - kinds[::-1].index("a")
    assert first_b < last_a  # interleaved, not one after the other
    assert driven.all(AnswerDone, "a")[0].text == "".join(d.text for d in driven.all(AnswerDelta))


def test_cancelling_ends_a_running_and_a_waiting_answer(driven: Driven) -> None:
    driven.hear(OpenSession("a"))
    watch(driven, 1)
    driven.hear(Ask("a", "r1", "what?", max_tokens=900, temperature=2.0, seed=1))
    driven.hear(Ask("a", "r2", "what?"), Cancel("a", "r2"), Cancel("a", "unknown"))
    driven.work(lambda: bool(driven.all(AnswerDelta)))
    written = len(driven.all(AnswerDelta))
    driven.hear(Cancel("a", "r1")).work()
    assert {(done.response, done.status) for done in driven.all(AnswerDone)} == {
        ("r1", "cancelled"),
        ("r2", "cancelled"),
    }
    assert len(driven.all(AnswerDelta)) <= written + 1
    driven.hear(Ask("a", "r3", "what?", max_tokens=2)).work()
    assert driven.all(AnswerDone)[-1].response == "r3"
    assert driven.all(AnswerDone)[-1].status != "cancelled"


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (Ask("a", "r", "   "), "empty"),
        (Ask("a", "r", "what " * 5000), "at most"),
        (Ask("a", "r", "what?", max_tokens=0), "max_tokens"),
        (Ask("a", "r", "what?", temperature=-1.0), "temperature"),
    ],
)
def test_a_question_that_cannot_be_asked_fails_alone(driven: Driven, ask: Ask, words: str) -> None:
    driven.hear(OpenSession("a"))
    watch(driven, 1)
    driven.hear(ask, Ask("a", "good", "what?", max_tokens=2)).work()
    failed, good = driven.all(AnswerDone)
    assert (failed.response, failed.status) == ("r", "failed")
    assert words in failed.message
    assert (good.response, good.status == "failed") == ("good", False)


def test_a_question_before_the_first_frame_fails_in_words(driven: Driven) -> None:
    driven.hear(OpenSession("a"), Ask("a", "r", "what?"))
    driven.work(lambda: bool(driven.all(AnswerDone)))
    [done] = driven.all(AnswerDone)
    assert (done.status, "no frame" in done.message) == ("failed", True)


def test_a_question_that_overtook_the_first_frame_waits_for_it(driven: Driven) -> None:
    driven.hear(OpenSession("a"), Ask("a", "r", "what?", max_tokens=2)).work()
    assert not driven.all(AnswerDone)
    driven.hear(frame(0)).work()
    [done] = driven.all(AnswerDone)
    assert done.status in ("completed", "incomplete")


def test_each_question_is_about_the_time_when_it_was_asked(driven: Driven) -> None:
    driven.hear(OpenSession("a"))
    watch(driven, 2)
    driven.hear(Ask("a", "r1", "what?", max_tokens=20, temperature=2.0, seed=1))
    driven.work(lambda: bool(driven.all(AnswerDelta)))
    driven.hear(frame(2)).work(lambda: driven.seat("a").memory.newest == 2.0)
    driven.hear(Ask("a", "r2", "what?", max_tokens=2), frame(3))
    driven.work(lambda: driven.seat("a").memory.newest == 3.0).work()
    first, second = driven.all(AnswerStarted)
    assert (first.response, first.span and first.span.end) == ("r1", 1.0)
    assert (second.response, second.span and second.span.end) == ("r2", 2.0)
    assert [done.response for done in driven.all(AnswerDone)] == ["r1", "r2"]


def test_an_answer_says_how_old_its_newest_frame_was_when_it_was_asked(driven: Driven) -> None:
    driven.hear(OpenSession("a"))
    driven.hear(replace(frame(0), captured_at=time.time() - 100)).work()
    driven.hear(Ask("a", "r1", "what?", max_tokens=20, temperature=2.0, seed=1))
    driven.hear(Ask("a", "r2", "what?", max_tokens=2), replace(frame(1), captured_at=time.time()))
    driven.work()
    driven.hear(Ask("a", "r3", "what?", max_tokens=2)).work()
    ages = [started.span.newest_age for started in driven.all(AnswerStarted) if started.span]
    assert ages[0] == pytest.approx(100, abs=20)
    assert ages[1] == pytest.approx(100, abs=20)
    assert ages[2] < 20


def test_a_question_that_comes_twice_is_answered_once(
    driven: Driven, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    driven.hear(OpenSession("a" * 22))
    watch(driven, 1, "a" * 22)
    ask = Ask("a" * 22, "r", "what?", max_tokens=3)
    driven.hear(ask, ask).work()
    [done] = driven.all(AnswerDone, "a" * 22)
    assert done.text
    # Its gateway has not heard of that answer, or it would not ask again.
    driven.hear(ask).work()
    [_, lost] = driven.all(AnswerDone, "a" * 22)
    assert lost.status == "failed" and "ask again" in lost.message
    assert "a" * 8 in caplog.text
    assert "a" * 9 not in caplog.text, "an id is a key"


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


def test_earlier_turns_are_kept_and_the_forgotten_are_counted(driven: Driven) -> None:
    driven.hear(OpenSession("a"))
    watch(driven, 1)
    for turn in range(7):
        driven.hear(Ask("a", str(turn), "what?", max_tokens=2)).work()
    told = [(started.turns_kept, started.turns_forgotten) for started in driven.all(AnswerStarted)]
    assert told == [(0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (4, 1), (4, 2)]


def test_stop_sequences_and_instructions_reach_the_model(driven: Driven) -> None:
    driven.hear(OpenSession("a"), OpenSession("b", instructions="Answer in one word."))
    for session in "ab":
        watch(driven, 2, session)
    kinds = {"max_tokens": 30, "temperature": 2.0, "seed": 5}
    driven.hear(Ask("a", "r1", "what?", **kinds), Ask("b", "r1", "what?", **kinds)).work()  # type: ignore[arg-type]
    [plain], [other] = driven.all(AnswerDone), driven.all(AnswerDone, "b")
    system = "<|im_start|>system\nAnswer in one word.<|im_end|>\n"
    assert other.prompt_tokens - plain.prompt_tokens == len(driven.ids(system))
    assert plain.text != other.text
    stop = plain.text[5:7]
    driven.hear(CloseSession("b"), OpenSession("c"))
    watch(driven, 2, "c")
    driven.hear(Ask("c", "r2", "what?", stop=(stop,), **kinds)).work()  # type: ignore[arg-type]
    [stopped] = driven.all(AnswerDone, "c")
    assert stopped.status == "completed"
    assert stopped.text == plain.text[: plain.text.index(stop)]


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


def test_too_many_waiting_questions_are_refused(driven: Driven) -> None:
    driven.hear(OpenSession("a"))
    driven.hear(*(Ask("a", str(i), "what?") for i in range(MAX_WAITING_QUESTIONS + 1)))
    [done] = driven.all(AnswerDone)
    assert (done.response, done.status) == (str(MAX_WAITING_QUESTIONS), "failed")


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


def test_a_session_of_a_lost_worker_begins_anew_and_says_so(driven: Driven) -> None:
    driven.hear(Resume(OpenSession("a", instructions="Be short."), None))
    [moved] = driven.all(SessionMoved)
    assert (moved.restored, moved.questions, moved.lost_seconds) == (False, False, None)
    assert "lost" in moved.message
    assert driven.said.index(moved) > driven.said.index(driven.all(SessionOpened)[0])


def test_messages_for_unknown_sessions_are_left_alone(driven: Driven) -> None:
    driven.hear(frame(0), Ask("a", "r", "?"), Cancel("a", "r"), CloseSession("a"), Abandon("a"))
    assert driven.said == []
    assert not driven.runner.turn()


def exported(driven: Driven, session: str = "a") -> bytes:
    """What somebody is given who asks for this session."""
    given: list[bytes] = []
    driven.give = lambda channel, make: given.append(b"".join(make()))
    driven.hear(SaveSession(session, "c"))
    return given[0]


def test_a_session_begins_with_anothers_memory_and_counts_on(driven: Driven, llava: Engine) -> None:
    driven.hear(OpenSession("a", instructions="Be short."))
    watch(driven, 3)
    driven.hear(Ask("a", "r1", "what?", max_tokens=4)).work()
    file = exported(driven)
    driven.hear(Ask("a", "r2", "and before?", max_tokens=4)).work()
    wanted = OpenSession("b", llava.default_budget_tokens, "Be short.")
    driven.hear(Import(wanted, SnapshotReader(file)), Ask("b", "r3", "and before?", max_tokens=4))
    driven.work()
    assert driven.all(SessionOpened, "b")
    assert not driven.all(SessionMoved, "b")
    [there] = driven.all(AnswerDone, "b")
    assert there.text == driven.all(AnswerDone)[1].text
    driven.hear(frame(3, "b")).work(lambda: driven.all(MemoryStatus, "b") != [])
    status = driven.all(MemoryStatus, "b")[-1]
    assert status.frames_dropped == 0
    # Its own frames are old news to it.
    driven.hear(frame(2, "b"))
    assert not driven.seat("b").lane.frames or status.frames_seen == 3


def test_a_file_that_cannot_be_used_refuses_the_session_for_good(
    driven: Driven, llava: Engine
) -> None:
    driven.hear(OpenSession("a"))
    file, budget = exported(driven), llava.default_budget_tokens
    for name, mail in {
        "b": Import(OpenSession("b", budget), None, "it did not come"),
        "c": Import(OpenSession("c", budget + 9), SnapshotReader(file)),
        "d": Import(OpenSession("d", budget), SnapshotReader(file[:-30])),
    }.items():
        driven.hear(mail)
        [refused] = driven.all(SessionRefused, name)
        assert refused.retry_after is None and refused.message
    assert driven.runner.sessions == 1
