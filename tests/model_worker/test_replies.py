"""Questions and their answers on one thread, with a tiny model."""

import time

import pytest
from msgspec.structs import replace

from messages.answers import AnswerDelta, AnswerDone, AnswerStarted
from messages.questions import Ask, Cancel
from messages.sessions import (
    CloseSession,
    OpenSession,
)
from model_worker.scheduler import MAX_WAITING_QUESTIONS
from tests.model_worker.driven import Driven, frame, watch


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


def test_too_many_waiting_questions_are_refused(driven: Driven) -> None:
    driven.hear(OpenSession("a"))
    driven.hear(*(Ask("a", str(i), "what?") for i in range(MAX_WAITING_QUESTIONS + 1)))
    [done] = driven.all(AnswerDone)
    assert (done.response, done.status) == (str(MAX_WAITING_QUESTIONS), "failed")
