"""A session written to bytes and read back: seconds, bytes, and what each option costs in answers.

Two memories, both full. lookback-mini's is of the sample clip played without an end; now and then
it is moved by each option, and original and copy are asked the same. The other has the shapes of
Qwen2-VL-7B (28 layers, 4 KV heads of 128, bfloat16, 24 units of 144 tokens and a block of 8) under
a decoder of hardly any width, for a snapshot does not depend on it. Its keys and values are noise,
which no coder makes smaller: ratios are the least there can be.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from benchmarks.random_model import save_random_qwen2_vl
from benchmarks.scenes import KINDS, Stream, read_scenes, right
from model_worker.engine import Engine
from model_worker.fingerprint import fingerprint
from model_worker.session import Session
from model_worker.settings import SHIPPED_MODEL
from model_worker.snapshot_header import OPTIONS, Option

DESCRIPTION = "a session as a file: bytes, seconds to write and read, and what is lost"

_LIKE_7B: Final = {
    "layers": 28,
    "hidden": 512,
    "intermediate": 64,
    "heads": 4,
    "kv_heads": 4,
    "vision_layers": 1,
    "vision_hidden": 64,
    "vision_heads": 2,
}


def run(
    model: str | Path = SHIPPED_MODEL,
    streams: int = 3,
    moments: int = 14,
    warm: int = 300,
    apart: int = 60,
    repeats: int = 5,
    large: dict[str, int] | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Medians over `repeats` by memory and option, and answers over `streams` streams of `moments`
    each, the first after `warm` seconds of stream and each other `apart` seconds later. `large`:
    sizes of the second model, see `save_random_qwen2_vl`."""
    threads = torch.get_num_threads()
    progress("questions to original and copy")
    engine = Engine.load(model, device="cpu")
    started = time.perf_counter()
    fingerprint(Path(model), {})
    identity_seconds = time.perf_counter() - started
    asked = _Asked(engine)
    session = engine.open_session(history_turns=0)
    for seed in range(streams):
        session.close()
        session = engine.open_session(history_turns=0)
        asked.play(session, seed, [warm, *[apart] * (moments - 1)])
    _fill_up(session)
    rows = [_measure(engine, session, option, repeats) for option in OPTIONS]
    session.close()
    torch.set_num_threads(threads)
    progress("a memory of the shapes of Qwen2-VL-7B")
    with tempfile.TemporaryDirectory() as folder:
        save_random_qwen2_vl(Path(folder), **(large or _LIKE_7B))
        other = Engine.load(folder, device="cpu", dtype="bfloat16", threads=threads)
        other.name = "Qwen2-VL-7B's shapes"
        # As a worker has it: no session that comes moves the others to a larger buffer.
        other.reserve(2 * other.session_bytes(other.default_budget_tokens))
        full = other.open_session()
        _fill_with_noise(full)
        rows += [_measure(other, full, option, repeats) for option in OPTIONS]
        full.close()
    torch.set_num_threads(threads)
    return {
        "benchmark": "snapshot",
        "identity_seconds": round(identity_seconds, 4),
        "threads": threads,
        "snapshots": rows,
        "answers": asked.rows(),
    }


def _measure(engine: Engine, session: Session, option: Option, repeats: int) -> dict[str, Any]:
    """`held_seconds` is the longest time between two pieces, in which the session waits when it is
    written step by step; `detached_seconds` how long it waits where it is copied first;
    `read_held_seconds` how long other sessions wait where one is read step by step."""
    seconds: dict[str, list[float]] = {"written": [], "held": [], "detached": []}
    seconds |= {"read": [], "read_held": []}
    for _ in range(repeats):
        snapshot = engine.snapshot(session, option)
        pieces, clock = [], [time.perf_counter()]
        for piece in snapshot:
            pieces.append(piece)
            clock.append(time.perf_counter())
        seconds["written"].append(clock[-1] - clock[0])
        seconds["held"].append(float(np.diff(clock).max()))
        copied = engine.snapshot(session, option)
        started = time.perf_counter()
        copied.detach()
        seconds["detached"].append(time.perf_counter() - started)
        session_read, clock = engine.restoring(pieces), [time.perf_counter()]
        restored = None
        while restored is None:
            try:
                next(session_read)
            except StopIteration as end:
                restored = end.value
            clock.append(time.perf_counter())
        restored.close()
        seconds["read"].append(clock[-1] - clock[0])
        seconds["read_held"].append(float(np.diff(clock).max()))
    size = sum(map(len, pieces))
    return {
        "memory": engine.name,
        "option": option,
        "tokens": session.memory.tokens,
        "raw_bytes": snapshot.header.raw_bytes,
        "bytes": size,
        "raw_over_bytes": round(snapshot.header.raw_bytes / size, 2),
        **{f"{name}_seconds": round(statistics.median(each), 4) for name, each in seconds.items()},
    }


class _Asked:
    """What original and copies answer."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._scenes = read_scenes(engine.frame_size, engine.max_pixels)
        self._logits: list[Tensor] = []
        self._questions = 0
        self._right: dict[str, int] = dict.fromkeys(("original", *OPTIONS), 0)
        self._same: dict[str, int] = dict.fromkeys(OPTIONS, 0)
        self._changes: dict[str, list[Tensor]] = {option: [] for option in OPTIONS}

    @torch.no_grad()
    def play(self, session: Session, seed: int, moments: list[int]) -> None:
        """Show a stream, a frame a second, and ask after so many seconds each."""
        stream = Stream(self._scenes, seed)
        second = 0
        for seconds in moments:
            for _ in range(seconds):
                session.watch(stream.next(), float(second))
                second += 1
            found = [each for kind in KINDS if (each := stream.question(kind)) is not None]
            original = [self._answer(session, each.question) for each in found]
            self._questions += len(found)
            self._score("original", [text for text, _ in original], [e.answer for e in found])
            for option in OPTIONS:
                copy = self._engine.restore(iter(self._engine.snapshot(session, option)))
                answers = [self._answer(copy, each.question) for each in found]
                copy.close()
                self._score(option, [text for text, _ in answers], [e.answer for e in found])
                for (text, logits), (moved, changed) in zip(original, answers, strict=True):
                    self._same[option] += text == moved
                    self._changes[option].append((logits - changed).abs())

    def _answer(self, session: Session, question: str) -> tuple[str, Tensor]:
        """What is said, and the logits of its first token."""
        head, heard = self._engine.adapter.logits, self._logits
        heard.clear()

        def listen(hidden: Tensor) -> Tensor:
            logits = head(hidden)
            heard.append(logits.reshape(-1, logits.shape[-1])[-1])
            return logits

        vars(self._engine.adapter)["logits"] = listen
        try:
            return "".join(session.ask(question)), heard[0]
        finally:
            del vars(self._engine.adapter)["logits"]

    def _score(self, name: str, said: list[str], expected: list[str]) -> None:
        self._right[name] += sum(map(right, said, expected))

    def rows(self) -> list[dict[str, Any]]:
        """Shares of all questions, and changes of a logit of the first token."""
        rows = []
        for option in OPTIONS:
            changes = torch.stack(self._changes[option])
            rows.append(
                {
                    "option": option,
                    "questions": self._questions,
                    "same": round(self._same[option] / self._questions, 4),
                    "right": round(self._right[option] / self._questions, 4),
                    "right_before": round(self._right["original"] / self._questions, 4),
                    "logit_change_mean": round(float(changes.mean()), 5),
                    "logit_change_most": round(float(changes.max()), 5),
                }
            )
        return rows


def _fill_up(session: Session) -> None:
    """Until the next frame would be compressed."""
    while session.has_room:
        session.watch(np.zeros((96, 96, 3), np.uint8), session.newest + 1)


def _fill_with_noise(session: Session) -> None:
    """Frames until memory is full, and then noise in the place of their keys and values."""
    picture, second = np.zeros((336, 336, 3), np.uint8), 0
    while session.has_room:
        session.watch(picture, float(second))
        second += 1
    for layer in session.cache.buffer:
        layer.normal_(generator=torch.Generator().manual_seed(0))
