"""A runner with a tiny model, driven by hand."""

import time
from collections.abc import Callable
from typing import TypeVar

import cv2
import numpy as np

from messages.codec import ToGateway
from messages.frames import Frame
from model_worker.admission import Admission
from model_worker.engine import Engine
from model_worker.mailbox import Mail
from model_worker.runner import Runner
from model_worker.saving import Saving
from model_worker.seat import Seat
from model_worker.snapshot import Snapshot

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


def frame(number: int, session: str = "a", timestamp: float | None = None) -> Frame:
    pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    jpeg = bytes(cv2.imencode(".jpg", pixels)[1])
    stamp = float(number) if timestamp is None else timestamp
    return Frame(session, number, stamp, 1000.0 + number, jpeg)


def watch(driven: Driven, count: int, session: str = "a", start: int = 0) -> None:
    for number in range(start, start + count):
        driven.hear(frame(number, session)).work()
