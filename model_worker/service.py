"""The worker process: one model between a broker's streams.

Threads: the main one says every second that the worker lives, one reads the broker, one owns the
model, one writes to the broker, and one puts snapshots away; others answer scrapes, where metrics
are asked for. Of HTTP only `exposition` knows.
"""

import dataclasses
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Final

import msgspec
import transformers
from redis import Redis
from redis.exceptions import RedisError

from broker.connection import BrokerError, connect, hasty
from messages.codec import ToGateway
from messages.sessions import OpenSession
from model_worker.admission import Admission
from model_worker.card import tried
from model_worker.engine import Engine, ModelError
from model_worker.exporter import Exporter
from model_worker.exposition import Exposition
from model_worker.hand import HASTY_SECONDS, Hand
from model_worker.keeper import Keeper
from model_worker.leases import Leases
from model_worker.line import Line
from model_worker.mailbox import Abandon, Lost, Mailbox
from model_worker.metrics import Now, WorkerMetrics
from model_worker.reader import READ_MILLISECONDS, Reader
from model_worker.runner import Runner
from model_worker.saving import Saving
from model_worker.settings import WorkerSettings
from model_worker.store import BrokerStore, FolderStore, StoreError
from model_worker.writer import HandOver, Writer
from telemetry.logs import configure
from telemetry.tracing import Tracer, tracer

log = logging.getLogger(__name__)

EXIT_UNUSABLE: Final = 78
"""Exit status where starting again cannot help (EX_CONFIG of sysexits.h)."""
BEAT_SECONDS: Final = 1.0
LAST_WORDS_SECONDS: Final = 3.0
SILENT_SECONDS: Final = 5.0
"""A worker whose last beat was longer ago counts as away from the broker."""
STUCK_SECONDS: Final = 300.0


def run(settings: WorkerSettings) -> int:
    """Serve until SIGTERM or SIGINT; the process's exit status. For the main thread."""
    configure("worker", settings.log_level, settings.log_format)
    transformers.utils.logging.disable_progress_bar()
    exposition = None
    try:
        if settings.metrics_port is not None:
            exposition = Exposition(settings.metrics_host, settings.metrics_port)
        traces = tracer("worker", settings.tracing)
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
        service = Service(engine, settings, client, traces)
    except (BrokerError, ModelError, ValueError) as error:
        print(f"worker: {error}", file=sys.stderr)
        return 1 if isinstance(error, BrokerError) else EXIT_UNUSABLE
    log.info("%s on %s, ready in %.1f s", engine.name, engine.device, time.monotonic() - began)

    def stop(number: int, frame: FrameType | None) -> None:
        service.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    if exposition is not None:
        exposition.registry = service.metrics.registry
        exposition.health, exposition.ready = service.stuck, service.unready
    status = service.run()
    if traces is not None:
        traces.close()
    return status


class Service:
    """A worker around a loaded engine.

    Raises ValueError where the settings' budget or policy cannot work with this model: the
    engine is tried once on a plain picture, which also warms it up. Raises ModelError where the
    device has no room for the sessions' memory.
    """

    def __init__(
        self,
        engine: Engine,
        settings: WorkerSettings,
        client: "Redis",
        tracer: Tracer | None = None,
    ) -> None:
        self.metrics = WorkerMetrics(engine.name, process=True)
        self._beaten_at = float("-inf")
        self._max_sessions = settings.max_sessions
        self._drain_seconds = settings.drain_seconds
        self._draining = threading.Event()
        self._stopping = threading.Event()
        self._failed = False
        self._card = tried(engine, settings)
        kv_bytes = settings.kv_bytes or (
            settings.max_sessions * engine.session_bytes(self._card.budget_tokens)
        )
        engine.reserve(kv_bytes)
        self._card = msgspec.structs.replace(self._card, kv_bytes=kv_bytes)
        self._mailbox = Mailbox()
        self._leases = Leases(client, self._card.worker, settings.abandoned_seconds)

        def needed(wanted: OpenSession) -> int:
            budget = wanted.budget_tokens or self._card.budget_tokens
            return engine.session_bytes(budget, wanted.instructions or "")

        self._line = Line(
            client,
            self._leases,
            needed,
            engine.name,
            kv_bytes=kv_bytes,
            max_sessions=settings.max_sessions,
        )
        self._keeper = _keeper(settings.snapshots, client, self._leases, self.metrics)
        kept = self._keeper
        hand = Hand(hasty(settings.broker_url, HASTY_SECONDS), self._card.worker)
        self._reader = Reader(
            client,
            self._leases,
            self._line,
            self._mailbox,
            kept.read if kept else lambda session: None,
            self._emit,
            hand,
        )
        self._writer = Writer(
            client,
            self._leases,
            lost=self._lost,
            refused=self._line.shun,
            ended=kept.drop if kept else lambda session: None,
        )
        self._runner = Runner(
            engine,
            self._emit,
            Admission(settings.max_sessions, kv_bytes),
            name=self._card.worker,
            budget_tokens=self._card.budget_tokens,
            policy=settings.policy,
            positions=settings.positions,
            max_batch=settings.max_batch,
            max_answers=settings.max_answers,
            saving=Saving(
                engine,
                kept.put if kept else None,
                Exporter(client).give,
                seconds=settings.snapshot_seconds,
                option=settings.snapshot_option,
            ),
            hand=hand,
            metrics=self.metrics,
            tracer=tracer,
        )
        self.metrics.watch(self._now)

    def stop(self) -> None:
        """Ask `run` to end when what is being answered is answered; safe in a signal handler."""
        self._draining.set()

    def run(self) -> int:
        """Serve until `stop`; 1 where a thread failed."""
        model = self._started(self._work, "model")
        writer = self._started(lambda: self._writer.run(self._stopping), "writer")
        self._started(lambda: self._reader.run(self._stopping), "reader")
        if self._keeper is not None:
            keeper = self._keeper
            self._started(lambda: keeper.run(self._stopping), "keeper")
        while model.is_alive() and not self._stopping.is_set():
            self._beat()
            model.join(BEAT_SECONDS)
        # The model's thread has said its farewells; the writer sends them and ends.
        writer.join(LAST_WORDS_SECONDS)
        self._stopping.set()
        try:
            self._leases.farewell()
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
                self._draining.set()
                self._stopping.set()

        thread = threading.Thread(target=watched, name=name, daemon=True)
        thread.start()
        return thread

    # -- the model's thread ---------------------------------------------------------------

    def _work(self) -> None:
        while not self._draining.is_set():
            self._turn(self._runner.idle_seconds())
        self._drain()
        left = self._runner.leave(self._read_to)
        if self._keeper is not None and not self._keeper.flush(self._drain_seconds):
            log.warning("the last snapshots are not all written")
        for session in left:
            self._emit(HandOver(session))
        self._emit(None)

    def _read_to(self, session: str) -> str:
        """Until where the session's orders were read."""
        lease = self._leases.get(session)
        return "0" if lease is None else lease.inbox_from.decode()

    def _turn(self, idle_seconds: float) -> None:
        for mail in self._mailbox.take(idle_seconds):
            self._runner.handle(mail)
        self._runner.turn()

    def _drain(self) -> None:
        """Finish what has come in; what comes now is for the sessions' next owners."""
        self._line.closed = True
        for lease in self._leases.all():
            lease.handing_over = True
        until = time.monotonic() + self._drain_seconds
        # What the reader has just read is still on its way.
        quiet_from = time.monotonic() + READ_MILLISECONDS / 1000
        while time.monotonic() < until and not self._stopping.is_set():
            self._turn(min(self._runner.idle_seconds(), 0.1))
            done = self._mailbox.empty and self._runner.idle_seconds() > 0
            if done and time.monotonic() > quiet_from:
                return

    def _emit(self, message: ToGateway | HandOver | None) -> None:
        self._writer.put(message, self._stopping)

    # -- the main thread ------------------------------------------------------------------

    def _beat(self) -> None:
        """Say that the worker lives, and see to sessions that nobody keeps alive, or that are
        another worker's by now."""
        now = self._runner.now()
        card = msgspec.structs.replace(
            self._card,
            sessions=self._runner.sessions,
            kv_bytes_used=self._runner.kv_bytes_used,
            frames_per_second=self._runner.frames_per_second,
            draining=self._line.closed,
            answers_running=now.running,
            answers_waiting=now.waiting,
            ttft_seconds=self.metrics.recent.ttft,
            frame_age_seconds=self.metrics.recent.frame_age,
        )
        try:
            abandoned, lost = self._leases.renew(card)
            self._line.offer()
        except RedisError as error:
            log.warning("the broker does not answer: %s", error)
            self.metrics.broker_errors.inc()
            self._leases.forgive()
            return
        self._beaten_at = time.monotonic()
        for session in abandoned:
            self._mailbox.put_now(Abandon(session))
        for session in lost:
            self._lost(session)

    def _lost(self, session: str) -> None:
        self.metrics.lease_losses.inc()
        self._mailbox.put_now(Lost(session))
        try:
            self._leases.survived(session)
        except RedisError as error:  # its card says so, too
            log.warning("the broker does not know that this worker lives: %s", error)

    # -- any thread -----------------------------------------------------------------------

    def unready(self) -> str | None:
        """Why no session can be opened here now; None: it can. A worker whose memory is all taken
        is ready: those who come wait in the queue."""
        if self._draining.is_set():
            return "the worker is about to stop"
        if time.monotonic() - self._beaten_at > SILENT_SECONDS:
            return "the broker does not answer"
        return None

    def stuck(self) -> str | None:
        """Why nothing but another start can help; None: nothing is wrong."""
        busy = self._runner.now().busy_seconds
        if busy > STUCK_SECONDS:
            return f"the model has been at one turn for {busy:.0f} s"
        return None

    def _now(self) -> Now:
        return dataclasses.replace(
            self._runner.now(),
            kv_bytes=self._card.kv_bytes,
            max_sessions=self._max_sessions,
            ready=self.unready() is None,
            draining=self._draining.is_set(),
        )


def _keeper(where: str, client: "Redis", leases: Leases, metrics: WorkerMetrics) -> Keeper | None:
    """Raises ValueError for a folder that cannot be written to."""
    if where == "off":
        return None
    if where == "broker":
        return Keeper(BrokerStore(client, leases), leases, metrics)
    try:
        return Keeper(FolderStore(Path(where)), leases, metrics)
    except StoreError as error:
        raise ValueError(f"{error}: choose another with LOOKBACK_SNAPSHOTS") from error
