"""The worker process: one model between a broker's streams.

Four threads: the main one says every second that the worker lives, one reads the broker, one
owns the model, one writes to the broker. Knows nothing of HTTP.
"""

import logging
import queue
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Final

import msgspec
import numpy as np
import transformers
from redis import Redis
from redis.exceptions import RedisError

from broker.connection import BrokerError, connect
from messages import keys
from messages.codec import (
    MalformedMessage,
    ToGateway,
    ToWorker,
    decode_frame,
    decode_to_worker,
    encode,
)
from messages.sessions import OpenSession, SessionClosed, SessionRefused
from messages.workers import WorkerCard
from model_worker.admission import Admission
from model_worker.decoding import Sampling
from model_worker.engine import Engine, ModelError
from model_worker.leases import Leases
from model_worker.mailbox import Abandon, Mailbox
from model_worker.outage import Outage
from model_worker.runner import Runner
from model_worker.settings import WorkerSettings

log = logging.getLogger(__name__)

EXIT_UNUSABLE: Final = 78
"""Exit status where starting again cannot help (EX_CONFIG of sysexits.h)."""
READ_MILLISECONDS: Final = 500
BEAT_SECONDS: Final = 1.0
OUTGOING_LENGTH: Final = 4096
BATCH: Final = 64
LAST_WORDS_SECONDS: Final = 3.0
MEMORY_LOST: Final = "The worker that held this session stopped, and what it had seen is lost."


def run(settings: WorkerSettings) -> int:
    """Serve until SIGTERM or SIGINT; the process's exit status. For the main thread."""
    logging.basicConfig(
        level=settings.log_level.upper(),
        stream=sys.stderr,
        format="%(asctime)s worker %(levelname)s %(message)s",
    )
    transformers.utils.logging.disable_progress_bar()
    try:
        client = connect(settings.broker_url)
        began = time.monotonic()
        engine = Engine.load(
            settings.model,
            device=settings.device,
            dtype=settings.dtype,
            threads=settings.threads,
            revision=settings.revision,
            attention=settings.attention,
            quantization=settings.quantization,
        )
        service = Service(engine, settings, client)
    except (BrokerError, ModelError, ValueError) as error:
        print(f"worker: {error}", file=sys.stderr)
        return 1 if isinstance(error, BrokerError) else EXIT_UNUSABLE
    log.info("%s on %s, ready in %.1f s", engine.name, engine.device, time.monotonic() - began)

    def stop(number: int, frame: FrameType | None) -> None:
        service.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    return service.run()


class Service:
    """A worker around a loaded engine.

    Raises ValueError where the settings' budget or policy cannot work with this model: the
    engine is tried once on a plain picture, which also warms it up. Raises ModelError where the
    device has no room for the sessions' memory.
    """

    def __init__(self, engine: Engine, settings: WorkerSettings, client: "Redis") -> None:
        self._client = client
        self._mailbox = Mailbox()
        self._outgoing: queue.Queue[ToGateway | None] = queue.Queue(OUTGOING_LENGTH)
        self._stopping = threading.Event()
        self._failed = False
        self._controls_from = _newest(client, keys.CONTROL)
        self._card = _tried(engine, settings)
        self._leases = Leases(client, self._card.worker)
        kv_bytes = settings.kv_bytes or (
            settings.max_sessions * engine.session_bytes(self._card.budget_tokens)
        )
        engine.reserve(kv_bytes)
        self._runner = Runner(
            engine,
            self._emit,
            Admission(settings.max_sessions, kv_bytes),
            budget_tokens=self._card.budget_tokens,
            policy=settings.policy,
            positions=settings.positions,
            max_batch=settings.max_batch,
            max_answers=settings.max_answers,
        )

    def stop(self) -> None:
        """Ask `run` to end; safe in a signal handler."""
        self._stopping.set()

    def run(self) -> int:
        """Serve until `stop`; 1 where a thread failed."""
        model = self._started(self._work, "model")
        writer = self._started(self._write, "writer")
        self._started(self._read, "reader")
        beating = True
        while beating:
            self._beat()
            beating = not self._stopping.wait(BEAT_SECONDS)
        # The model's thread says its farewells; the writer sends them and ends.
        model.join(LAST_WORDS_SECONDS)
        writer.join(LAST_WORDS_SECONDS)
        try:
            self._client.delete(keys.worker(self._card.worker))
        except RedisError as error:
            log.warning("no farewell to the broker: %s", error)
        log.info("stopped")
        return 1 if self._failed else 0

    def _started(self, work: Callable[[], None], name: str) -> threading.Thread:
        """A thread whose failure ends the process: its supervisor starts a whole one."""

        def watched() -> None:
            try:
                work()
            except Exception:
                log.exception("the %s thread failed", name)
                self._failed = True
                self._stopping.set()

        thread = threading.Thread(target=watched, name=name, daemon=True)
        thread.start()
        return thread

    # -- the model's thread ---------------------------------------------------------------

    def _work(self) -> None:
        try:
            while not self._stopping.is_set():
                for mail in self._mailbox.take(self._runner.idle_seconds()):
                    self._runner.handle(mail)
                self._runner.turn()
        finally:
            self._runner.close_all("The worker stopped.")
            self._emit(None)

    def _emit(self, message: ToGateway | None) -> None:
        """Waits while the broker takes nothing and much is unsaid, but not past the end."""
        while True:
            try:
                self._outgoing.put(message, timeout=0.5)
                return
            except queue.Full:
                if self._stopping.is_set():
                    return

    # -- the reader's thread --------------------------------------------------------------

    def _read(self) -> None:
        positions: dict[str, bytes] = {keys.CONTROL: self._controls_from}
        outage = Outage("reading")
        while not self._stopping.is_set():
            followed = {keys.CONTROL, *map(keys.frames, self._leases.sessions())}
            positions = {stream: positions.get(stream, b"0") for stream in followed}
            try:
                reply = self._client.xread(positions, block=READ_MILLISECONDS)
                for name, entries in reply:
                    stream = name.decode()
                    for position, fields in entries:
                        self._receive(stream, fields.get(keys.FIELD, b""))
                        positions[stream] = position
                outage.over()
            except RedisError as error:
                self._stopping.wait(outage.seconds(error))

    def _receive(self, stream: str, data: bytes) -> None:
        try:
            if stream != keys.CONTROL:
                self._mailbox.put_frame(decode_frame(data))
                return
            message = decode_to_worker(data)
        except MalformedMessage as error:
            log.warning("%s: left out a message that is none of ours: %s", stream, error)
            return
        if message.session in self._leases or self._takes(message):
            self._mailbox.put(message)

    def _takes(self, message: ToWorker) -> bool:
        """Whether a session that this worker does not hold yet becomes its own."""
        return (
            isinstance(message, OpenSession)
            and message.worker in (None, self._card.worker)
            and self._leases.claim(message.session)
        )

    # -- the writer's thread --------------------------------------------------------------

    def _write(self) -> None:
        last = False
        while not last:
            batch = [self._outgoing.get()]
            while len(batch) < BATCH and not self._outgoing.empty():
                batch.append(self._outgoing.get_nowait())
            last = None in batch
            self._publish([message for message in batch if message is not None])

    def _publish(self, batch: list[ToGateway]) -> None:
        outage = Outage("writing")
        while batch:
            pipe = self._client.pipeline(transaction=True)
            for message in batch:
                events, entry = keys.events(message.session), {keys.FIELD: encode(message)}
                pipe.xadd(events, entry, maxlen=keys.EVENTS_LENGTH, approximate=False)
                pipe.expire(events, keys.EVENTS_TTL_SECONDS)
                if isinstance(message, SessionClosed | SessionRefused):
                    self._leases.release(message.session, pipe)
            try:
                pipe.execute()
                outage.over()
                return
            except RedisError as error:
                if self._stopping.wait(outage.seconds(error)):
                    return

    # -- the main thread ------------------------------------------------------------------

    def _beat(self) -> None:
        """Say that the worker lives, and see to sessions that nobody keeps alive."""
        card = msgspec.structs.replace(
            self._card,
            sessions=self._runner.sessions,
            kv_bytes_used=self._runner.kv_bytes_used,
            frames_per_second=self._runner.frames_per_second,
        )
        try:
            abandoned = self._leases.renew(card)
            orphans = self._leases.orphans()
        except RedisError as error:
            log.warning("the broker does not answer: %s", error)
            self._leases.forgive()
            return
        for session in abandoned:
            self._mailbox.put(Abandon(session))
        for session in orphans:
            self._emit(SessionClosed(session, "worker_stopped", MEMORY_LOST))


def _newest(client: "Redis", stream: str) -> bytes:
    """The id after which to read: what was said before this worker was there is not for it."""
    entries = client.xrevrange(stream, count=1)
    return bytes(entries[0][0]) if entries else b"0"


def _tried(engine: Engine, settings: WorkerSettings) -> WorkerCard:
    """The worker's card, after two frames and a question went through the engine."""
    budget = settings.budget_tokens or engine.default_budget_tokens
    session = engine.open_session(
        budget_tokens=budget, policy=settings.policy, positions=settings.positions
    )
    width, height = engine.frame_size or (448, 448)
    picture = np.full((height, width, 3), 127, dtype=np.uint8)
    for second in range(2):
        session.watch(picture, float(second))
    for _ in session.ask("What is it now?", Sampling(max_tokens=2)):
        pass
    cap = session.memory.cap_tokens
    session.close()
    return WorkerCard(
        # A new name each start: whoever sees the old one gone knows that its memory is lost.
        worker=f"{settings.worker_name}-{secrets.token_hex(3)}",
        model=engine.name,
        family=engine.family,
        device=str(engine.device),
        frame_size=engine.frame_size,
        max_pixels=engine.max_pixels,
        budget_tokens=budget,
        cap_tokens=cap,
        tokens_per_frame=engine.tokens_per_frame,
        kv_bytes_per_session=engine.session_bytes(budget),
        sessions=0,
        max_sessions=settings.max_sessions,
        kv_bytes_used=0,
        frames_per_second=0.0,
    )
