"""Sessions go from one real worker process to the next: in order, after a death, after a stop."""

import signal
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from broker.embedded import EmbeddedBroker
from messages import keys
from messages.answers import AnswerDone, AnswerStarted
from messages.questions import Ask
from messages.sessions import (
    CloseSession,
    MemoryStatus,
    SessionClosed,
    SessionMoved,
)
from tests.model_worker.gateway import (
    WAIT_SECONDS,
    Peer,
    eventually,
    running,
)


@pytest.fixture(scope="module")
def model(checkpoints: dict[str, Path]) -> Path:
    return checkpoints["llava_onevision"]


def test_sigterm_answers_what_was_asked_and_hands_the_sessions_over(model: Path) -> None:
    with EmbeddedBroker() as broker, running(model, broker.url) as process:
        peer = Peer(broker.url)
        session = peer.opened()
        peer.frame(session, 0)
        peer.seen(session, 1)
        peer.control(Ask(session, "r", "what is it?", max_tokens=100))
        peer.wait(session, AnswerStarted)
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_SECONDS) == 0
        assert peer.wait(session, AnswerDone).status in ("completed", "incomplete")
        assert not any(isinstance(event, SessionClosed) for event in peer.events(session))
        assert peer.client.zscore(keys.QUEUE, session) == keys.FIRST_IN_LINE
        assert not peer.client.exists(keys.owner(session))
        assert peer.card() is None
        # The next worker takes it, since somebody keeps it alive.
        peer.requeue(session)
        with running(model, broker.url):
            assert not peer.wait(session, SessionMoved).restored


def test_a_hand_over_loses_no_frame_and_answers_the_same(model: Path, tmp_path: Path) -> None:
    """With one worker throughout, and with a graceful move in the middle: the same tokens."""
    answers = []
    for moves in (False, True):
        with EmbeddedBroker() as broker, ExitStack() as stack:
            peer = Peer(broker.url)
            first = stack.enter_context(running(model, broker.url, tmp_path))
            card = peer.card()
            assert card is not None
            session = peer.opened(2 * card.tokens_per_frame)
            for number in range(11):
                peer.frame(session, number)
                time.sleep(0.15)
            assert peer.seen(session, 11).compressions == 1
            peer.control(Ask(session, "before", "what is it?", max_tokens=12))
            peer.wait(session, AnswerDone)
            if moves:
                first.send_signal(signal.SIGTERM)
                assert first.wait(WAIT_SECONDS) == 0
            # About what is in memory now, whether or not anybody has the session.
            peer.control(Ask(session, "between", "what is it?", max_tokens=12))
            peer.frame(session, 11)
            if moves:
                peer.requeue(session)
                stack.enter_context(running(model, broker.url, tmp_path))
                moved = peer.wait(session, SessionMoved)
                assert (moved.restored, moved.questions) == (True, True)
                assert moved.lost_seconds == 0.0
            peer.wait(session, AnswerDone, lambda done: done.response == "between")
            for number in range(12, 21):
                peer.frame(session, number)
                time.sleep(0.15)
            status = peer.seen(session, 21)
            assert status.frames_dropped == 0 and status.compressions == 2
            peer.control(Ask(session, "after", "what was it?", max_tokens=12))
            peer.wait(session, AnswerDone, lambda done: done.response == "after")
            said = [event for event in peer.events(session) if isinstance(event, AnswerDone)]
            answers.append({done.response: done.text for done in said})
    assert answers[0].keys() == {"before", "between", "after"}
    assert answers[0] == answers[1]


def test_a_killed_worker_costs_what_came_after_its_last_snapshot(
    model: Path, tmp_path: Path
) -> None:
    with EmbeddedBroker() as broker, running(model, broker.url, tmp_path) as process:
        peer = Peer(broker.url)
        session = peer.opened()
        for number in range(4):
            peer.frame(session, number)
        peer.seen(session, 4)
        eventually(lambda: list(tmp_path.glob("*.snapshot")), "snapshot")
        time.sleep(1.0)
        for number in range(4, 10):
            peer.frame(session, number)
            peer.wait(session, MemoryStatus, lambda s, n=number: s.frames_seen > n)  # type: ignore[misc]
        process.kill()
        eventually(lambda: not peer.client.exists(keys.owner(session)), "end of the lease")
        peer.requeue(session)
        with running(model, broker.url, tmp_path):
            moved = peer.wait(session, SessionMoved)
            assert (moved.restored, moved.questions) == (True, False)
            assert moved.lost_seconds is not None and moved.lost_seconds > 0
            peer.frame(session, 10)
            status = peer.wait(
                session, MemoryStatus, lambda s: s.span is not None and s.span[1] == 10.0
            )
            # Whatever came after the snapshot and is not in the ring is counted as lost.
            assert status.frames_seen + status.frames_dropped == 11
            assert status.frames_seen >= 4 + 4
            peer.control(CloseSession(session))
            peer.wait(session, SessionClosed)
            eventually(lambda: not list(tmp_path.glob("*.snapshot")), "removed snapshot")


def test_a_damaged_snapshot_is_told_and_the_session_begins_anew(
    model: Path, tmp_path: Path
) -> None:
    with EmbeddedBroker() as broker, running(model, broker.url, tmp_path) as process:
        peer = Peer(broker.url)
        session = peer.opened()
        peer.frame(session, 0)
        peer.seen(session, 1)
        process.send_signal(signal.SIGTERM)
        process.wait(WAIT_SECONDS)
        [path] = tmp_path.glob("*.snapshot")
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        peer.requeue(session)
        with running(model, broker.url, tmp_path):
            moved = peer.wait(session, SessionMoved)
            assert not moved.restored
            assert "lost" in moved.message and "snapshot was of no use" in moved.message
            peer.frame(session, 1)
            peer.wait(session, MemoryStatus, lambda status: status.frames_seen == 1)


def test_a_stopped_worker_that_goes_on_has_lost_its_session(model: Path) -> None:
    with EmbeddedBroker() as broker, running(model, broker.url) as stale:
        peer = Peer(broker.url)
        session = peer.opened()
        peer.frame(session, 0)
        peer.seen(session, 1)
        stale.send_signal(signal.SIGSTOP)
        eventually(lambda: not peer.client.exists(keys.owner(session)), "end of the lease")
        peer.requeue(session)
        with running(model, broker.url) as fresh:
            moved = peer.wait(session, SessionMoved)
            before = len(peer.events(session))
            # Both would read the question, and only the owner's answer may be heard.
            peer.control(Ask(session, "r", "what?", max_tokens=4))
            stale.send_signal(signal.SIGCONT)
            peer.frame(session, 1)
            peer.wait(session, AnswerDone)
            eventually(lambda: len(peer.cards()) == 2, "cards of both")
            time.sleep(2.0)  # two beats, in which the stale one would speak
            after = peer.events(session)[before:]
            assert len([e for e in after if isinstance(e, AnswerStarted)]) == 1
            assert len([e for e in after if isinstance(e, AnswerDone)]) == 1
            owner = peer.client.get(keys.owner(session)).decode()
            assert owner == f"{moved.worker} 2"
            freed = eventually(
                lambda: next((c for c in peer.cards() if not c.sessions), None), "freed memory"
            )
            assert freed is not None and freed.worker != moved.worker
            assert fresh.poll() is None and stale.poll() is None
