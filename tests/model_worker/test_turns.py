"""Suspected sessions are worked on one by one, with a tiny model."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from messages.answers import AnswerDone
from messages.codec import ToGateway
from messages.questions import Ask
from messages.sessions import OpenSession
from model_worker import turns as module
from model_worker.admission import Admission
from model_worker.engine import Engine
from model_worker.hand import Hand
from model_worker.mailbox import Resume
from model_worker.runner import Runner
from model_worker.work import Work, advance, see
from tests.model_worker.driven import frame


class Watched(Hand):
    """Notes what is held, and who is worked on meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.held: str | None = None
        self.worked: list[tuple[str | None, int]] = []

    @contextmanager
    def holding(self, session: str | None) -> Iterator[None]:
        assert self.held is None or session is None
        self.held = session
        yield
        self.held = None


@pytest.fixture
def hand(monkeypatch: pytest.MonkeyPatch) -> Watched:
    """Sees the works of every pass."""
    watched = Watched()

    def noted(adapter: object, works: Sequence[Work]) -> dict[int, Exception]:
        if works:
            watched.worked.append((watched.held, len(works)))
        return advance(adapter, works)  # type: ignore[arg-type]

    def seen(adapter: object, works: Sequence[Work]) -> dict[int, Exception]:
        if works:
            watched.worked.append((watched.held, len(works)))
        return see(adapter, works)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "advance", noted)
    monkeypatch.setattr(module, "see", seen)
    return watched


def test_those_whose_worker_died_are_worked_on_apart_and_all_others_together(
    llava: Engine, hand: Watched
) -> None:
    said: list[ToGateway] = []
    runner = Runner(
        llava, said.append, Admission(4), budget_tokens=llava.default_budget_tokens, hand=hand
    )
    for session in ("a", "b"):
        runner.handle(OpenSession(session))
    for session in ("c", "d"):
        runner.handle(Resume(OpenSession(session), None, deaths=1))
    for number in range(3):
        for session in "abcd":
            runner.handle(frame(number, session))
        if number == 1:
            for session in "abcd":
                runner.handle(Ask(session, f"r-{session}", "what?", max_tokens=4))
        while runner.turn():
            pass
    done = [message for message in said if isinstance(message, AnswerDone)]
    assert {message.session for message in done if message.text} == set("abcd")
    assert {held for held, _ in hand.worked} == {None, "c", "d"}
    assert max(count for held, count in hand.worked if held is None) > 1
    # Its answer's step and its frames, and nobody else's.
    assert all(count <= 2 for held, count in hand.worked if held is not None)


def test_a_session_is_apart_for_a_while_only(
    llava: Engine, hand: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model_worker.arrivals.APART_SECONDS", 0.0)
    runner = Runner(
        llava, lambda said: None, Admission(2), budget_tokens=llava.default_budget_tokens, hand=hand
    )
    for session in ("c", "d"):
        runner.handle(Resume(OpenSession(session), None, deaths=1))
        runner.handle(frame(0, session))
    while runner.turn():
        pass
    assert hand.worked == [(None, 2)]
