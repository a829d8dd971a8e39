"""A real gateway on a real port over a real broker, and a protocol peer in the worker's place."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn

from broker.connection import connect
from broker.embedded import EmbeddedBroker
from messages import keys
from messages.answers import AnswerDelta, AnswerDone, AnswerStarted, Span
from messages.codec import ToGateway, ToWorker, decode_frame, decode_to_worker, encode
from messages.frames import Frame
from messages.questions import Ask, Cancel
from messages.sessions import (
    CloseSession,
    MemoryStatus,
    OpenSession,
    SessionOpened,
    SessionRefused,
)
from messages.workers import WorkerCard
from server.app import create_app
from server.settings import GatewaySettings

CARD = WorkerCard(
    worker="peer-1", model="peer", family="none", device="cpu", frame_size=(96, 96),
    max_pixels=9216, budget_tokens=216, cap_tokens=288, tokens_per_frame=9,
    kv_bytes_per_session=1000, sessions=0, max_sessions=4, kv_bytes_used=0, frames_per_second=0.0,
)  # fmt: skip


class PeerWorker:
    """Speaks the worker's messages and understands nothing.

    It repeats each question word by word; one that begins with "slowly" goes on until cancelled;
    one with "fail" fails. `watching` False leaves frames in the ring.
    """

    def __init__(self, url: str) -> None:
        self._broker = connect(url)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.heard: list[tuple[float, ToWorker]] = []
        self.frames: list[Frame] = []
        self.refusal: SessionRefused | None = None
        self.watching = True
        self.showing_card = True
        self.card = CARD
        self._slow: dict[str, Ask] = {}
        self._read_to: dict[str, Any] = {}

    def __enter__(self) -> "PeerWorker":
        last = self._broker.xrevrange(keys.CONTROL, count=1)
        self._read_to = {keys.CONTROL: last[0][0] if last else "0"}
        self._show_card()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._broker.delete(keys.worker(self.card.worker))
        self._broker.close()

    def say(self, message: ToGateway) -> None:
        key = keys.events(message.session)
        self._broker.xadd(key, {keys.FIELD: encode(message)}, maxlen=keys.EVENTS_LENGTH)

    def of(self, kind: type, session: str) -> list[Any]:
        """What was heard of this kind for this session."""
        return [m for _, m in list(self.heard) if isinstance(m, kind) and m.session == session]

    def _show_card(self) -> None:
        key = keys.worker(self.card.worker)
        self._broker.set(key, encode(self.card), px=1500)

    def _run(self) -> None:
        shown = time.monotonic()
        while not self._stop.is_set():
            if self.showing_card and time.monotonic() - shown > 0.3:
                shown = time.monotonic()
                self._show_card()
            wanted = {
                key: at for key, at in self._read_to.items() if self.watching or key == keys.CONTROL
            }
            for key, entries in self._broker.xread(wanted, block=20):
                for entry, fields in entries:
                    self._read_to[key.decode()] = entry
                    self._take(key.decode(), fields[keys.FIELD])
            for response in list(self._slow):
                self._write(self._slow[response], 0, "and ")

    def _take(self, key: str, data: bytes) -> None:
        if key != keys.CONTROL:
            frame = decode_frame(data)
            self.frames.append(frame)
            self._remember(frame)
            return
        message = decode_to_worker(data)
        self.heard.append((time.monotonic(), message))
        match message:
            case OpenSession():
                if self.refusal is not None:
                    refusal = self.refusal
                    self.say(SessionRefused(message.session, refusal.message, refusal.retry_after))
                    return
                self._read_to[keys.frames(message.session)] = "0"
                budget = message.budget_tokens or 216
                self.say(SessionOpened(message.session, "peer", budget, budget + 72, 1000))
            case CloseSession():
                self._read_to.pop(keys.frames(message.session), None)
            case Ask():
                self._answer(message)
            case Cancel():
                ask = self._slow.pop(message.response, None)
                if ask is not None:
                    self.say(AnswerDone(ask.session, ask.response, "cancelled", "and "))

    def _remember(self, frame: Frame) -> None:
        seen = sum(f.session == frame.session for f in self.frames)
        lost = frame.number + 1 - seen + frame.dropped
        self.say(
            MemoryStatus(
                session=frame.session,
                tokens=9 * seen,
                peak_tokens=9 * seen,
                cap_tokens=288,
                kv_bytes=1000,
                frames_seen=seen,
                frames_dropped=lost,
                compressions=0,
                span=(0.0, frame.timestamp),
                newest_captured_at=frame.captured_at,
            )
        )

    def _answer(self, ask: Ask) -> None:
        if "fail" in ask.text:
            self.say(AnswerDone(ask.session, ask.response, "failed", message="It broke."))
            return
        self.say(AnswerStarted(ask.session, ask.response, Span(0.0, 7.5, 0.25)))
        if ask.text.startswith("slowly"):
            self._slow[ask.response] = ask
            return
        words = ask.text.split(" ")
        for index, word in enumerate(words):
            self._write(ask, index, word + " ")
        self.say(
            AnswerDone(ask.session, ask.response, "completed", ask.text, "", 11, len(words), 0, 0.5)
        )

    def _write(self, ask: Ask, index: int, text: str) -> None:
        self.say(AnswerDelta(ask.session, ask.response, index, text))


@pytest.fixture(scope="session")
def broker_url() -> Iterator[str]:
    with EmbeddedBroker() as broker:
        yield broker.url


@pytest.fixture
def worker(broker_url: str) -> Iterator[PeerWorker]:
    with PeerWorker(broker_url) as peer:
        yield peer


@contextlib.contextmanager
def serving(settings: GatewaySettings) -> Iterator[str]:
    """A gateway in a thread; yields its base URL."""
    config = uvicorn.Config(
        create_app(settings), host="127.0.0.1", port=0, log_level="warning",
        timeout_graceful_shutdown=1, ws_max_size=2**20,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started:
        assert thread.is_alive() and time.monotonic() < deadline, "the gateway did not start"
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(timeout=30)
        assert not thread.is_alive(), "the gateway did not stop"


@pytest.fixture
def gateway(broker_url: str, worker: PeerWorker) -> Iterator[str]:
    with serving(GatewaySettings(broker_url=broker_url)) as url:
        yield url


@pytest.fixture
def serve(broker_url: str, worker: PeerWorker) -> Iterator[Callable[..., str]]:
    """A gateway with other settings."""
    with contextlib.ExitStack() as stack:

        def start(**settings: Any) -> str:
            url = {"broker_url": broker_url}
            return stack.enter_context(serving(GatewaySettings(**(url | settings))))

        yield start
