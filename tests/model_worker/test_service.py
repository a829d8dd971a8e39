"""A real worker process with a tiny model behind a real broker; the test is its gateway."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.embedded import EmbeddedBroker
from messages import keys
from messages.answers import AnswerDelta, AnswerDone, AnswerStarted
from messages.frames import FrameRejected
from messages.questions import Ask, Cancel
from messages.sessions import (
    CloseSession,
    MemoryStatus,
    SessionClosed,
    SessionOpened,
    SessionRefused,
)
from model_worker.service import EXIT_UNUSABLE, run
from model_worker.settings import WorkerSettings
from tests.model_worker.gateway import (
    MAX_SESSIONS,
    WAIT_SECONDS,
    Peer,
    command,
    eventually,
    picture,
    running,
)


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
