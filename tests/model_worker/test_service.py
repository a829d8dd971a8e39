"""A real worker process with a tiny model behind a real broker; the test is its gateway."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import pytest

from broker.connection import connect
from broker.embedded import EmbeddedBroker, dies_with
from messages import keys
from messages.answers import AnswerDelta, AnswerDone, AnswerStarted
from messages.codec import ToGateway, ToWorker, decode_card, decode_to_gateway, encode
from messages.frames import Frame, FrameRejected
from messages.questions import Ask, Cancel
from messages.sessions import (
    CloseSession,
    MemoryStatus,
    OpenSession,
    SessionClosed,
    SessionMoved,
    SessionOpened,
    SessionRecord,
    SessionRefused,
)
from messages.workers import PROTOCOL, WorkerCard
from model_worker.service import EXIT_UNUSABLE, run
from model_worker.settings import WorkerSettings

WAIT_SECONDS = 60.0
MAX_SESSIONS = 3
T = TypeVar("T")


class Peer:
    """Writes what a gateway writes and reads what it reads."""

    def __init__(self, url: str) -> None:
        self.client = connect(url)
        self._last = 0

    def cards(self) -> list[WorkerCard]:
        names = list(self.client.scan_iter(keys.WORKERS))
        return [decode_card(data) for data in (self.client.mget(names) if names else []) if data]

    def card(self) -> WorkerCard | None:
        return next(iter(self.cards()), None)

    def open(self, budget_tokens: int | None = None, *, alive_seconds: int = 600) -> str:
        self._last += 1
        session = f"s{self._last}-{time.monotonic_ns()}"
        self.client.set(keys.alive(session), 1, ex=alive_seconds)
        wanted = OpenSession(session, budget_tokens)
        self._queue(SessionRecord(PROTOCOL, wanted, self._last, time.time()), self._last)
        return session

    def requeue(self, session: str) -> None:
        """As a gateway does for a session that has lost its worker."""
        opened = self.wait(session, SessionOpened)
        record = SessionRecord(PROTOCOL, OpenSession(session), 0, time.time(), opened)
        self._queue(record, keys.FIRST_IN_LINE)

    def _queue(self, record: SessionRecord, turn: float) -> None:
        self.client.set(keys.session(record.wanted.session), encode(record))
        self.client.zadd(keys.QUEUE, {record.wanted.session: turn})
        self.client.xadd(keys.WAKE, {keys.FIELD: b""}, maxlen=1)

    def control(self, message: ToWorker) -> None:
        entry = {keys.FIELD: encode(message)}
        self.client.xadd(keys.inbox(message.session), entry, maxlen=keys.INBOX_LENGTH)

    def frame(self, session: str, number: int, jpeg: bytes | None = None, **more: Any) -> None:
        given = {"timestamp": float(number), "captured_at": time.time()} | more
        frame = Frame(session, number, jpeg=jpeg or picture(32, 32, number), **given)
        entry = {keys.FIELD: encode(frame)}
        self.client.xadd(keys.frames(session), entry, maxlen=keys.RING, approximate=False)

    def events(self, session: str) -> list[ToGateway]:
        entries = self.client.xrange(keys.events(session))
        return [decode_to_gateway(fields[keys.FIELD]) for _, fields in entries]

    def wait(
        self, session: str, kind: type[T], where: Callable[[T], bool] = lambda event: True
    ) -> T:
        """The first such event."""

        def find() -> T | None:
            found = (e for e in self.events(session) if isinstance(e, kind) and where(e))
            return next(found, None)

        event = eventually(find, f"{kind.__name__} among {self.events(session)}")
        assert event is not None
        return event

    def opened(self, *given: Any, **more: Any) -> str:
        session = self.open(*given, **more)
        self.wait(session, SessionOpened)
        return session

    def seen(self, session: str, count: int) -> MemoryStatus:
        return self.wait(session, MemoryStatus, lambda status: status.frames_seen == count)


def eventually(find: Callable[[], T], what: str, seconds: float = WAIT_SECONDS) -> T:
    deadline = time.monotonic() + seconds
    while not (found := find()):
        assert time.monotonic() < deadline, f"there was no {what}"
        time.sleep(0.02)
    return found


def picture(width: int, height: int, seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return bytes(cv2.imencode(".jpg", pixels)[1])


def command(model: Path | str, url: str, snapshots: Path | str = "off") -> dict[str, Any]:
    environment = os.environ | {
        "LOOKBACK_SNAPSHOTS": str(snapshots),
        "LOOKBACK_SNAPSHOT_SECONDS": "0.5",
        "LOOKBACK_ABANDONED_SECONDS": "1",
        "LOOKBACK_BROKER_URL": url,
        "LOOKBACK_MODEL": str(model),
        "LOOKBACK_THREADS": "1",
        "LOOKBACK_MAX_SESSIONS": str(MAX_SESSIONS),
    }
    return {"args": [sys.executable, "-m", "lookback", "worker"], "env": environment}


@contextmanager
def running(
    model: Path, url: str, snapshots: Path | str = "off"
) -> Iterator["subprocess.Popen[bytes]"]:
    """A worker whose card is on the broker."""
    process = subprocess.Popen(**command(model, url, snapshots), preexec_fn=dies_with(os.getpid()))
    try:
        with connect(url) as client:
            eventually(lambda: process.poll() or list(client.scan_iter(keys.WORKERS)), "card")
        assert process.poll() is None
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


@pytest.fixture(scope="module")
def model(checkpoints: dict[str, Path]) -> Path:
    return checkpoints["llava_onevision"]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with EmbeddedBroker() as broker:
        yield broker.url


@pytest.fixture(scope="module")
def worker(model: Path, url: str) -> Iterator["subprocess.Popen[bytes]"]:
    with running(model, url) as process:
        yield process


@pytest.fixture
def peer(worker: object, url: str) -> Iterator[Peer]:
    """Leaves the worker as empty as it was found."""
    made = Peer(url)
    yield made
    for key in made.client.scan_iter(keys.owner("*")):
        made.control(CloseSession(key.decode().rpartition(":")[2]))
    eventually(lambda: (card := made.card()) and card.sessions == 0, "empty worker")
    made.client.close()


def test_the_card_says_what_the_worker_can_do(peer: Peer) -> None:
    card = peer.card()
    assert card is not None
    assert (card.family, card.device, card.max_sessions) == ("llava_onevision", "cpu", MAX_SESSIONS)
    assert card.cap_tokens >= card.budget_tokens >= card.tokens_per_frame > 0
    session = peer.opened()
    used = eventually(lambda: (now := peer.card()) and now.kv_bytes_used, "bytes in use")
    assert used == card.kv_bytes_per_session
    assert peer.wait(session, SessionOpened).cap_tokens == card.cap_tokens


def test_a_question_about_what_was_seen_is_answered(peer: Peer) -> None:
    session = peer.opened()
    for number in range(3):
        peer.frame(session, number)
    status = peer.seen(session, 3)
    assert status.span == (0.0, 2.0)
    peer.control(Ask(session, "r", "what is it?", max_tokens=6))
    done = peer.wait(session, AnswerDone)
    started = peer.wait(session, AnswerStarted)
    assert started.span is not None
    assert 0 <= started.span.newest_age < WAIT_SECONDS
    deltas = [event.text for event in peer.events(session) if isinstance(event, AnswerDelta)]
    assert "".join(deltas) == done.text
    assert done.status in ("completed", "incomplete")
    assert done.prompt_tokens > status.tokens
    assert 0 < peer.client.ttl(keys.events(session)) <= keys.EVENTS_TTL_SECONDS


def test_memory_stays_under_its_cap_and_frames_go_on(peer: Peer) -> None:
    session = peer.opened()
    opened = peer.wait(session, SessionOpened)
    for number in range(45):
        peer.frame(session, number)
        eventually(lambda: peer.client.xinfo_stream(keys.frames(session)), "ring")
        time.sleep(0.02)
    status = peer.wait(session, MemoryStatus, lambda s: s.frames_seen + s.frames_dropped == 45)
    assert status.compressions > 0
    assert status.peak_tokens <= status.cap_tokens == opened.cap_tokens
    assert status.kv_bytes == opened.kv_bytes


def test_every_kind_of_bad_frame_is_rejected_in_words(peer: Peer) -> None:
    session = peer.opened()
    peer.frame(session, 0, timestamp=5.0)
    peer.seen(session, 1)
    bad = {
        1: (b"junk", 6.0, "JPEG"),
        2: (picture(1, 1), 7.0, "1x1"),
        3: (picture(7680, 4320), 8.0, "megapixels"),
        4: (picture(32, 32), 5.0, "5"),
    }
    for number, (jpeg, timestamp, words) in bad.items():
        peer.frame(session, number, jpeg, timestamp=timestamp)
        rejected = peer.wait(session, FrameRejected, lambda r, n=number: r.number == n)  # type: ignore[misc]
        assert words in rejected.message
    peer.client.xadd(keys.frames(session), {keys.FIELD: b"\xff junk"})
    peer.client.xadd(keys.frames(session), {b"other": b"field"})
    peer.client.xadd(keys.inbox(session), {keys.FIELD: b"\xff junk"})
    peer.frame(session, 5, timestamp=9.0)
    assert peer.seen(session, 2).frames_dropped == 0


def test_lost_frames_are_counted(peer: Peer) -> None:
    session = peer.opened()
    peer.frame(session, 2)
    peer.frame(session, 6, dropped=10)
    assert peer.seen(session, 2).frames_dropped == 2 + 3 + 10


def test_two_sessions_have_memories_of_their_own(peer: Peer) -> None:
    one, two = peer.opened(), peer.opened()
    for number in range(4):
        peer.frame(one, number)
    peer.frame(two, 0)
    assert peer.seen(one, 4).span == (0.0, 3.0)
    assert peer.seen(two, 1).span == (0.0, 0.0)
    for session in (one, two):
        peer.control(Ask(session, "r", "what?", max_tokens=4))
    assert peer.wait(one, AnswerDone).session == one
    assert peer.wait(two, AnswerDone).session == two


def test_an_answer_is_cancelled_and_the_session_goes_on(peer: Peer) -> None:
    session = peer.opened()
    peer.frame(session, 0)
    peer.seen(session, 1)
    peer.control(Ask(session, "long", "what?", max_tokens=800, temperature=2.0, seed=1))
    peer.wait(session, AnswerDelta)
    peer.control(Cancel(session, "long"))
    assert peer.wait(session, AnswerDone).status == "cancelled"
    peer.control(Ask(session, "short", "what?", max_tokens=2))
    done = peer.wait(session, AnswerDone, lambda done: done.response == "short")
    assert done.status in ("completed", "incomplete")


def test_a_full_worker_lets_sessions_wait_until_one_is_closed(peer: Peer) -> None:
    sessions = [peer.opened() for _ in range(MAX_SESSIONS)]
    waiting = peer.open()
    time.sleep(1.0)
    assert peer.client.zrange(keys.QUEUE, 0, -1) == [waiting.encode()]
    assert peer.events(waiting) == []
    peer.control(CloseSession(sessions[0]))
    assert peer.wait(sessions[0], SessionClosed).reason == "closed"
    peer.wait(waiting, SessionOpened)


def test_an_impossible_budget_is_refused_for_good(peer: Peer) -> None:
    refused = peer.wait(peer.open(budget_tokens=1), SessionRefused)
    assert refused.retry_after is None
    assert "budget" in refused.message


def test_a_session_whose_gateway_died_is_freed(peer: Peer) -> None:
    session = peer.open(alive_seconds=1)
    assert peer.wait(session, SessionClosed).reason == "abandoned"
    eventually(lambda: (card := peer.card()) and card.kv_bytes_used == 0, "freed memory")


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


def test_a_broker_that_went_away_and_came_back_is_used_again(model: Path, tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path)
    with broker, running(model, broker.url) as process:
        os.kill(broker.pid, signal.SIGKILL)
        eventually(lambda: not broker.alive, "end of the broker")
        broker.__exit__(None, None, None)
        broker.__enter__()
        peer = Peer(broker.url)
        eventually(peer.card, "card")
        session = peer.opened()
        peer.frame(session, 0)
        peer.seen(session, 1)
        assert process.poll() is None


def test_a_model_that_cannot_be_used_is_one_line_and_its_own_status(
    url: str, tmp_path: Path
) -> None:
    done = subprocess.run(**command(tmp_path, url), capture_output=True, text=True, check=False)
    assert done.returncode == 78
    assert str(tmp_path) in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"revision": "v1"}, "has no revision 'v1'"),
        ({"attention": "flash_attention_2"}, "pip install flash-attn"),
        ({"quantization": "int4"}, "pip install bitsandbytes"),
    ],
)
def test_what_settings_say_of_loading_is_used(
    url: str,
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    setting: dict[str, str],
    words: str,
) -> None:
    monkeypatch.setattr("model_worker.checkpoint.is_flash_attn_2_available", lambda: False)
    monkeypatch.setattr("model_worker.quantization.is_bitsandbytes_available", lambda: False)
    settings = WorkerSettings(broker_url=url, model=str(model), **setting)  # type: ignore[arg-type]
    assert run(settings) == EXIT_UNUSABLE
    assert words in capsys.readouterr().err


def test_a_broker_that_is_not_there_is_one_line(model: Path, tmp_path: Path) -> None:
    nowhere = f"unix://{tmp_path / 'none.sock'}"
    done = subprocess.run(**command(model, nowhere), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "No broker answers" in done.stderr
    assert "Traceback" not in done.stderr
