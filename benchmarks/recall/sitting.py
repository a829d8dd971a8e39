"""Sessions of several policies and budgets before the same stream, frame by frame.

The vision tower sees each frame once, for its tokens are the same for all; its time counts into
each session's. Each takes its frames alone, so that its memory and its time depend on no other.
"""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from benchmarks.recall.art import Sprite
from benchmarks.recall.budget import FULL, Room, room
from benchmarks.recall.camera import Camera, blank
from benchmarks.recall.cell import Asked, Cell, Policies, Result, StreamName, make
from benchmarks.recall.features import Features
from benchmarks.recall.questions import Question, examine
from model_worker.decoding import Sampling
from model_worker.engine import Engine
from model_worker.picture import fitted
from model_worker.session import Session
from model_worker.timeline import Positions
from model_worker.work import advance

_GROUP: Final = 8  # frames that are encoded together, as a worker does where frames wait
_LONGEST_ANSWER: Final = 16  # tokens


@dataclass
class _Sitter:
    """One cell's session, and what it has cost and said so far."""

    cell: Cell
    room: Room
    session: Session
    asked: list[Asked] = field(default_factory=list)
    passes: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def hear(self, question: Question, said: str) -> None:
        right = words(said) == words(question.answer)
        self.asked.append(Asked(question.kind, question.age, question.second, right, said))

    def result(self, frames: int, tower: float) -> Result:
        memory, cache = self.session.memory, self.session.cache
        return Result(
            self.cell,
            self.asked,
            frames=frames,
            passes=len(self.passes),
            cap_tokens=memory.cap_tokens,
            kv_bytes=memory.kv_bytes,
            visual_bytes=memory.cap_tokens * (memory.kv_bytes // cache.shape.capacity),
            mark_bytes=cache.marks.nbytes,
            frame_seconds=self.seconds + tower,
            pass_seconds=sum(self.passes),
        )


def sit(
    engine: Engine,
    cells: Sequence[Cell],
    sprites: Sequence[Sprite],
    policies: Policies | None = None,
    cache: Path | None = None,
    progress: Callable[[int], None] = lambda second: None,
) -> list[Result]:
    """The results of `cells`, which are all of one stream, in their order. `cache` is a folder
    for what the vision tower makes of the stream."""
    stream = cells[0].stream
    assert all(cell.stream == stream for cell in cells)
    sitters: list[_Sitter] = []
    refused: dict[Cell, Result] = {}
    for cell in cells:
        sitter = _open(engine, cell, policies)
        if isinstance(sitter, Result):
            refused[cell] = sitter
        else:
            sitters.append(sitter)
    done: dict[Cell, Result] = refused
    try:
        if sitters:
            tower = _play(engine, stream, sitters, sprites, cache, progress)
            done |= {each.cell: each.result(stream.seconds, tower) for each in sitters}
    finally:
        for each in sitters:
            each.session.close()
    return [done[cell] for cell in cells]


def _open(engine: Engine, cell: Cell, policies: Policies | None) -> _Sitter | Result:
    """A session, or why there is none."""
    unit, group = engine.adapter.most_tokens_per_unit, engine.adapter.frames_per_unit
    wanted = room(cell.budget, cell.stream.seconds, unit, group)
    if wanted is None:
        return Result(cell, [], note=f"less than a frame of {unit} tokens and its block")
    positions: Positions = cell.positions  # type: ignore[assignment]
    longest = None
    if cell.budget == FULL:  # whatever the model was trained on: nothing is compressed
        longest = max(engine.adapter.longest_position, 2 * wanted.cap_tokens + 4096)
    try:
        session = engine.open_session(
            budget_tokens=wanted.budget_tokens,
            policy=make(cell.policy, policies),
            history_turns=1,
            longest_position=longest,
            positions="native" if cell.budget == FULL else positions,
            block_units=wanted.block_units,
        )
    except ValueError as error:
        return Result(cell, [], cap_tokens=wanted.cap_tokens, note=str(error))
    return _Sitter(cell, wanted, session)


def _play(
    engine: Engine,
    stream: StreamName,
    sitters: Sequence[_Sitter],
    sprites: Sequence[Sprite],
    cache: Path | None,
    progress: Callable[[int], None],
) -> float:
    """The whole stream and its questions. Returns the seconds of the vision tower."""
    script = stream.script()
    camera = Camera(script, sprites)
    features = Features(engine, stream, sitters[0].cell.art, cache)
    at = 0
    for question in [*examine(script, stream.questions), None]:
        until = stream.seconds if question is None else question.second
        while at < until:
            count = min(_GROUP, until - at)
            progress(at)
            _watch(engine, sitters, camera, features, range(at, at + count))
            at += count
        if question is not None:
            _ask(engine, sitters, question)
    features.save()
    return features.tower_seconds


@torch.no_grad()
def _watch(
    engine: Engine,
    sitters: Sequence[_Sitter],
    camera: Camera,
    features: Features,
    seconds: range,
) -> None:
    if features.known:  # nobody looks at them
        frames = [blank(engine.frame_size)] * len(seconds)
    else:
        frames = [
            fitted(camera.picture(second), engine.frame_size, engine.max_pixels)
            for second in seconds
        ]
    stamps = [float(second) for second in seconds]
    visual: Tensor | None = None
    for sitter in sitters:
        began = time.perf_counter()
        work, taken = sitter.session.prepare(frames, stamps)
        sitter.seconds += time.perf_counter() - began
        assert taken == len(stamps)
        pictures = work.pictures()
        if pictures is not None:
            if visual is None:
                visual = features.take(seconds, *pictures)
            work.seen(visual)
        began = time.perf_counter()
        for error in advance(engine.adapter, [work]).values():
            raise error
        sitter.seconds += time.perf_counter() - began
        sitter.passes += sitter.session.passes
        sitter.session.passes.clear()


def _ask(engine: Engine, sitters: Sequence[_Sitter], question: Question) -> None:
    """Of all at once: a pass over many answers hardly takes longer than over one. A memory is read
    and not changed by it."""
    if question.before is not None:
        _answers(engine, sitters, question.before, aside=False)
    said = _answers(engine, sitters, question.text, aside=question.before is None)
    for sitter, answer in zip(sitters, said, strict=True):
        sitter.hear(question, answer)


def _answers(engine: Engine, sitters: Sequence[_Sitter], text: str, *, aside: bool) -> list[str]:
    sampling = Sampling(max_tokens=_LONGEST_ANSWER)
    answers = [sitter.session.ask(text, sampling, aside=aside) for sitter in sitters]
    while running := [answer for answer in answers if answer.running]:
        for error in advance(engine.adapter, running).values():
            raise error
    return [answer.text for answer in answers]


def words(text: str) -> list[str]:
    """An answer, whatever its case and punctuation."""
    return re.findall(r"\w+", text.lower())
