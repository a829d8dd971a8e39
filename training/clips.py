"""Batches of clips with their questions, as indices into the bank and token ids."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset

from training.bank import COMBINATIONS, combination_index
from training.checkpoint import build_tokenizer
from training.questions import KINDS, Exchange, Frame, appearances, ask
from training.streams import draw, shape_for
from training.tower import CELLS
from training.world import OBJECT_NAMES

NOTHING: Final = 64  # the class "no object came before"
IGNORE: Final = -100
FACTS: Final = {"seen": 2, "place": 5, "colour": 8, "before": 65, "after": 65}
"""What is known of a named object, and how many values each fact can have."""


@dataclass
class Clips:
    """A batch. Axes: clips B, frames T, questions K, tokens L."""

    frames: Tensor  # [B, T] rows of the bank
    tokens: Tensor  # [B, K, L] token ids; position 0 is the video's closing newline
    targets: Tensor  # [B, K, L] the next token where it is part of an answer, else IGNORE
    kinds: Tensor  # [B, K, turns] index of the kind of each turn, -1 where there is none
    turns: Tensor  # [B, K, L] which turn a target belongs to
    cells: Tensor  # [B, T] the object's cell, -1 where the scene is empty
    before: Tensor  # [B, T] the object of the run before this frame's
    count: Tensor  # [B, T] different objects so far
    start: Tensor  # [B, T] 1: a new object's first frame, 2: a returning object's, else 0
    named: Tensor  # [M, 3] clip, question and token of every object named in a question
    facts: Tensor  # [M, 5] of that object: FACTS, else IGNORE
    stretch: float  # positions of a frame are multiplied by this
    keep: float  # share of the ground's tokens that are never evicted


@lru_cache(maxsize=200_000)
def _encode(text: str) -> tuple[int, ...]:
    return tuple(_tokenizer().encode(text))


@lru_cache(maxsize=1)
def _tokenizer():  # type: ignore[no-untyped-def]
    return build_tokenizer()


def facts_of(obj: int, runs: list[Frame]) -> list[int]:
    """FACTS of an object; what has no single answer is IGNORE."""
    at = [i for i, run in enumerate(runs) if run.obj == obj]
    if len(at) != 1:
        return [int(bool(at)), IGNORE, IGNORE, IGNORE, IGNORE]
    i = at[0]
    before = runs[i - 1].obj if i > 0 else NOTHING
    after = runs[i + 1].obj if i + 1 < len(runs) else NOTHING
    return [1, runs[i].place, runs[i].colour, before, after]


def encode_branch(
    turns: list[Exchange], rng: np.random.Generator, blur: float
) -> tuple[list[int], list[int], list[int], list[tuple[int, int]]]:
    """Tokens, next-token targets and turn numbers of a conversation after the video, and the
    (token, object) of every object that a question names."""
    tokens: list[int] = [0]
    named: list[tuple[int, int]] = []
    targets: list[int] = [IGNORE]
    numbers: list[int] = [0]
    for number, turn in enumerate(turns):
        head = "" if number == 0 else "<|im_start|>user "
        question = list(_encode(f"{head}{turn.question}<|im_end|><|im_start|>assistant"))
        if rng.random() < blur:
            start = 2 if number else 0
            question[start + int(rng.integers(2))] = 0  # <unk>: people use other words, too
        answer = _encode(f"{turn.answer}<|im_end|>")
        if turn.about >= 0:
            word = _encode(OBJECT_NAMES[turn.about])[0]
            named.append((len(tokens) + question.index(word), turn.about))
        tokens += [*question, *answer]
        targets += [IGNORE] * (len(question) - 1) + [*answer, IGNORE]
        numbers += [number] * (len(question) + len(answer))
    return tokens, targets, numbers, named


def frame_rows(frames: list[Frame], variants: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """A random rendering of each frame; empties are counted from the end of the scenes."""
    rows = np.empty(len(frames), dtype=np.int64)
    for i, frame in enumerate(frames):
        base = combination_index(*frame)
        if frame.obj < 0:
            offset = (base - COMBINATIONS) * variants * 4
            rows[i] = COMBINATIONS * variants + offset + rng.integers(variants * 4)
        else:
            rows[i] = base * variants + rng.integers(variants)
    return rows


def dense_labels(frames: list[Frame]) -> tuple[list[int], list[int], list[int], list[int]]:
    """For each frame: the object's cell, the object of the run before, the count so far, and
    whether a new (1) or a returning (2) object's run starts here."""
    cells, before, count, start = [], [], [], []
    previous, current = NOTHING, -1
    seen: set[int] = set()
    for frame in frames:
        starts = frame.obj >= 0 and frame.obj != current
        start.append((2 if frame.obj in seen else 1) if starts else 0)
        if starts:
            previous, current = (NOTHING if current < 0 else current), frame.obj
            seen.add(current)
        cells.append(CELLS[frame.place] if frame.obj >= 0 else -1)
        before.append(previous)
        count.append(min(len(seen), 16))
    return cells, before, count, start


class Phase(NamedTuple):
    """How hard the clips are."""

    shortest: int
    longest: int  # frames
    most_turns: int = 1
    blur: float = 0.0  # share of questions with an unknown word
    stretch_share: float = 0.0  # of batches whose frames lie further apart in position
    forget_share: float = 0.0  # of batches in which tokens are evicted


class ClipBatches(IterableDataset[Clips]):
    """Endless batches. Phase and weights live in shared memory: the loading process follows."""

    def __init__(
        self, phase: Phase, tokens: int, variants: int, seed: int, questions: int = 10,
        held_out: bool = False,
    ) -> None:  # fmt: skip
        self.dial = torch.ones(len(phase) + len(KINDS), dtype=torch.float64)
        self.dial.share_memory_()  # type: ignore[no-untyped-call]
        self.token_budget, self.variants, self.seed = tokens, variants, seed
        self.questions, self.held_out = questions, held_out
        self.turn_to(phase)

    def turn_to(self, phase: Phase, weights: tuple[float, ...] | None = None) -> None:
        """From the next batch on, clips of this phase and kinds of these weights."""
        self.dial[: len(phase)] = torch.tensor(phase, dtype=torch.float64)
        if weights is not None:
            self.dial[len(phase) :] = torch.tensor(weights, dtype=torch.float64)

    @property
    def phase(self) -> Phase:
        shortest, longest, turns, *shares = self.dial[: len(Phase._fields)].tolist()
        return Phase(int(shortest), int(longest), int(turns), *shares)

    @property
    def branches(self) -> int:
        """Conversations per clip: fewer where they are longer, up to twice the questions."""
        return max(1, round(self.questions * 4 / (3 + self.phase.most_turns)))

    @property
    def weights(self) -> NDArray[np.float64]:
        weights = self.dial[len(Phase._fields) :].numpy()
        return np.asarray(weights / weights.sum())

    def __iter__(self) -> Iterator[Clips]:
        info = torch.utils.data.get_worker_info()
        rng = np.random.default_rng((self.seed, info.id if info else 0))
        while True:
            phase = self.phase
            length = int(np.exp(rng.uniform(np.log(phase.shortest), np.log(phase.longest + 0.99))))
            each = 9 * length + 11 * self.branches * (1 + phase.most_turns)
            size = max(2, self.token_budget // each)
            yield self.batch(length, size, rng)

    def batch(self, length: int, size: int, rng: np.random.Generator) -> Clips:
        """`size` clips of `length` frames."""
        drawn = [draw(shape_for(length, rng), rng, self.held_out) for _ in range(size)]
        return self.ask_about(drawn, rng)

    def ask_about(self, drawn: list[list[Frame]], rng: np.random.Generator) -> Clips:
        """Streams of one length with random questions on them."""
        clips, branches, kinds, dense = [], [], [], []
        places: list[tuple[int, int, int]] = []
        facts: list[list[int]] = []
        phase, weights = self.phase, self.weights
        size, length, branches_each = len(drawn), len(drawn[0]), self.branches
        for number, frames in enumerate(drawn):
            runs = appearances(frames)
            clips.append(frame_rows(frames, self.variants, rng))
            dense.append(dense_labels(frames))
            for question in range(branches_each):
                wanted = 1 + int(rng.integers(phase.most_turns))
                turns: list[Exchange] = []
                while len(turns) < wanted:
                    kind = KINDS[rng.choice(len(KINDS), p=weights)]
                    turn = ask(kind, frames, rng)
                    if turn is not None:
                        turns.append(turn)
                branch = encode_branch(turns, rng, phase.blur)
                branches.append(branch)
                places += [(number, question, token) for token, _ in branch[3]]
                facts += [facts_of(obj, runs) for _, obj in branch[3]]
                asked = [KINDS.index(turn.kind) for turn in turns]
                kinds.append(asked + [-1] * (phase.most_turns - len(asked)))
        longest = max(len(branch[0]) for branch in branches)

        def padded(part: int, fill: int) -> Tensor:
            rows = [(*b[part], *[fill] * (longest - len(b[part]))) for b in branches]
            return torch.tensor(rows).view(size, branches_each, longest)

        stretch = 1.0
        if rng.random() < phase.stretch_share:
            most = max(1.0, min(30.0, 30_000 / (9 * length)))
            stretch = float(np.exp(rng.uniform(0, np.log(most))))
        forgets = rng.random() < phase.forget_share
        cells, before, count, start = (torch.tensor([d[i] for d in dense]) for i in range(4))
        return Clips(
            frames=torch.from_numpy(np.stack(clips)),
            tokens=padded(0, 1),
            targets=padded(1, IGNORE),
            turns=padded(2, 0),
            kinds=torch.tensor(kinds).view(size, branches_each, phase.most_turns),
            cells=cells,
            before=before,
            count=count,
            start=start,
            named=torch.tensor(places, dtype=torch.long).view(-1, 3),
            facts=torch.tensor(facts, dtype=torch.long).view(-1, len(FACTS)),
            stretch=stretch,
            keep=float(rng.uniform(0.1, 0.6)) if forgets else 1.0,
        )
