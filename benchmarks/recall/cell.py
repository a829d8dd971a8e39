"""The parts that the benchmark is made of: a policy at a budget before one stream."""

import copy
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

from benchmarks.recall.budget import FULL
from benchmarks.recall.scenario import SCENARIOS
from benchmarks.recall.script import Script, write
from model_worker.memory.policies import DEFAULT, make_policy
from model_worker.memory.policies.base import CompressionPolicy

EDITION: Final = 2
"""Of the streams and questions: results of different editions are never put together."""

PolicyMaker = Callable[[], CompressionPolicy]
Policies = dict[str, "CompressionPolicy | PolicyMaker | None"]


@dataclass(frozen=True)
class StreamName:
    """Which stream, and how many questions it is asked."""

    scenario: str
    minutes: float
    number: int
    seed: int
    questions: int

    @property
    def seconds(self) -> int:
        return round(60 * self.minutes)

    def script(self) -> Script:
        return write(SCENARIOS[self.scenario], self.seconds, self.number, self.seed)


@dataclass(frozen=True)
class Cell:
    """A policy at a budget before a stream. `policy` "full" is the memory that is never
    compressed."""

    model: str
    policy: str
    budget: str
    positions: str
    stream: StreamName
    art: str
    edition: int = EDITION

    @property
    def key(self) -> str:
        """The same for the same cell in every run."""
        return json.dumps(asdict(self), sort_keys=True)


@dataclass(frozen=True)
class Asked:
    """A question and what became of it."""

    kind: str
    age: str
    second: int
    right: bool
    said: str


@dataclass(frozen=True)
class Result:
    """What a cell gave. Times in seconds; `note` says why there are no questions.

    `kv_bytes` are all that is allocated, `visual_bytes` those of the tokens up to the cap, and
    `mark_bytes` what the policy itself keeps about them.
    """

    cell: Cell
    asked: list[Asked]
    frames: int = 0
    passes: int = 0
    cap_tokens: int = 0
    kv_bytes: int = 0
    visual_bytes: int = 0
    mark_bytes: int = 0
    frame_seconds: float = 0.0
    pass_seconds: float = 0.0
    note: str = ""

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    @classmethod
    def of(cls, record: dict[str, Any]) -> "Result":
        """Of a `record`. Raises TypeError, KeyError or ValueError for what is none."""
        cell = dict(record["cell"])
        stream = StreamName(**cell.pop("stream"))
        rest = {k: v for k, v in record.items() if k not in ("cell", "asked")}
        asked = [Asked(**each) for each in record["asked"]]
        return cls(Cell(stream=stream, **cell), asked, **rest)


def make(name: str, policies: Policies | None) -> CompressionPolicy:
    """A policy of its own for a session: by name, or as it was given from Python."""
    given = (policies or {}).get(name)
    if given is None:
        return make_policy(DEFAULT if name == FULL else name)
    return copy.deepcopy(given) if isinstance(given, CompressionPolicy) else given()
