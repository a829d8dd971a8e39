"""Batches of streams with their conversations, as rows of the bank and token ids."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset

from training.bank import Stored
from training.checkpoint import build_tokenizer
from training.chronicle import Chronicle
from training.labels import FACTS, IGNORE, facts_of, token_labels
from training.phrasings import KINDS
from training.questions import Asker, Exchange
from training.stories import Cutter, Story, clock, shape_for

SAME: Final = 2  # questions of a clip that name nothing and have the same answer
LONGEST_CLOCK: Final = 3600  # seconds; 32,400 positions, what the configuration allows


@dataclass
class Clips:
    """A batch. Axes: clips B, frames T, conversations K, tokens L."""

    frames: Tensor  # [B, T] rows of the bank
    seconds: Tensor  # [T] when each frame was seen
    tokens: Tensor  # [B, K, L] token ids; position 0 is the video's closing newline
    targets: Tensor  # [B, K, L] the next token where it is part of an answer, else IGNORE
    kinds: Tensor  # [B, K, turns] index of the kind of each turn, -1 where there is none
    turns: Tensor  # [B, K, L] which turn a target belongs to
    things: Tensor  # [N, 3] clip, frame and cell of every object and text that is shown
    labels: Tensor  # [N, 6] of that object or text: labels.TOKEN_LABELS, else IGNORE
    named: Tensor  # [M, 3] clip, conversation and token of all objects and texts of the questions
    facts: Tensor  # [M, 10] of that object or text: labels.FACTS, else IGNORE
    keep: float  # share of the tokens that are never evicted
    anchors: Tensor  # [A, 3] as `things`: tokens that stay whatever happens


@lru_cache(maxsize=400_000)
def _encode(text: str) -> tuple[int, ...]:
    return tuple(_tokenizer().encode(text))


@lru_cache(maxsize=1)
def _tokenizer():  # type: ignore[no-untyped-def]
    return build_tokenizer()


class Branch(NamedTuple):
    """A conversation after the video. `named`: (token, object or text) of what a question means."""

    tokens: list[int]
    targets: list[int]
    turns: list[int]
    named: list[tuple[int, int]]


def encode_branch(turns: Sequence[Exchange], rng: np.random.Generator, blur: float) -> Branch:
    """Written as the chat template does; in a share `blur` of the questions one of the first two
    words is unknown, since people use other words, too."""
    branch = Branch([0], [IGNORE], [0], [])
    for number, turn in enumerate(turns):
        head = "" if number == 0 else "<|im_start|>user "
        question = list(_encode(f"{head}{turn.question}<|im_end|><|im_start|>assistant"))
        word = _encode(turn.word)[0] if turn.about >= 0 else -1
        at = question.index(word) if word >= 0 else -1
        if rng.random() < blur:
            start = (2 if number else 0) + int(rng.integers(2))
            question[start] = question[start] if start == at else 0
        answer = _encode(f"{turn.answer}<|im_end|>")
        if turn.about >= 0:
            branch.named.append((len(branch.tokens) + at, turn.about))
        branch.tokens.extend((*question, *answer))
        branch.targets.extend((*[IGNORE] * (len(question) - 1), *answer, IGNORE))
        branch.turns.extend([number] * (len(question) + len(answer)))
    return branch


class Phase(NamedTuple):
    """How hard the clips are."""

    shortest: int
    longest: int  # frames
    most_turns: int = 1
    blur: float = 0.0  # share of questions with an unknown word
    apart_share: float = 0.0  # of batches whose frames lie further apart in time
    forget_share: float = 0.0  # of batches in which tokens are evicted


class ClipBatches(IterableDataset[Clips]):
    """Endless batches. Phase and weights live in shared memory: the loading process follows."""

    def __init__(
        self, takes: Sequence[Stored], phase: Phase, tokens: int, seed: int, questions: int = 12,
        plain_share: float = 0.35,
    ) -> None:  # fmt: skip
        self.dial = torch.ones(len(phase) + len(KINDS), dtype=torch.float64)
        self.dial.share_memory_()  # type: ignore[no-untyped-call]
        self.cutter = Cutter(takes)
        self.token_budget, self.seed, self.questions = tokens, seed, questions
        self.plain_share = plain_share
        self.turn_to(phase)

    def turn_to(self, phase: Phase, weights: Sequence[float] | None = None) -> None:
        """From the next batch on, clips of this phase and kinds of these weights."""
        self.dial[: len(phase)] = torch.tensor(phase, dtype=torch.float64)
        if weights is not None:
            self.dial[len(phase) :] = torch.tensor(weights, dtype=torch.float64)

    @property
    def phase(self) -> Phase:
        shortest, longest, turns, *shares = self.dial[: len(Phase._fields)].tolist()
        return Phase(int(shortest), int(longest), int(turns), *shares)

    @property
    def weights(self) -> NDArray[np.float64]:
        weights = self.dial[len(Phase._fields) :].numpy()
        return np.asarray(weights / weights.sum())

    def branches(self, length: int) -> int:
        """Conversations per clip: more where the clip is long, since there they cost little."""
        turns = (1 + self.phase.most_turns) / 2
        return max(2, round(max(self.questions, 0.15 * length) / turns))

    def __iter__(self) -> Iterator[Clips]:
        info = torch.utils.data.get_worker_info()
        rng = np.random.default_rng((self.seed, info.id if info else 0))
        while True:
            phase = self.phase
            length = int(np.exp(rng.uniform(np.log(phase.shortest), np.log(phase.longest + 0.99))))
            each = 9 * length + 11 * self.branches(length) * (1 + phase.most_turns)
            yield self.batch(length, max(1, self.token_budget // each), rng)

    def batch(self, length: int, size: int, rng: np.random.Generator) -> Clips:
        """`size` clips of `length` frames."""
        shapes = [shape_for(length, rng, self.plain_share) for _ in range(size)]
        stories = [self.cutter.draw(shape, rng) for shape in shapes]
        seconds = clock(length, LONGEST_CLOCK, rng, self.phase.apart_share)
        return self.ask_about(stories, seconds, rng)

    def _conversation(
        self, asker: Asker, rng: np.random.Generator, answers: Counter[str]
    ) -> list[Exchange]:
        """Turns; `answers` counts what was answered of this clip."""
        wanted = 1 + int(rng.integers(self.phase.most_turns))
        turns: list[Exchange] = []
        while len(turns) < wanted:
            topic = turns[-1].topic if turns else -1
            if topic >= 0 and rng.random() < 0.35:
                kind = "it"
            else:
                kind = KINDS[rng.choice(len(KINDS), p=self.weights)]
            turn = asker.ask(kind, topic)
            # What has one answer a clip ("how many?") teaches nothing more when asked again.
            if turn is not None and (turn.about >= 0 or answers[turn.answer] < SAME):
                answers[turn.answer] += 1
                turns.append(turn)
        return turns

    def ask_about(
        self, stories: Sequence[Story], seconds: Sequence[int], rng: np.random.Generator
    ) -> Clips:
        """Streams of one length with random conversations about them."""
        most_turns, blur = self.phase.most_turns, self.phase.blur
        size, each = len(stories), self.branches(len(seconds))
        branches: list[Branch] = []
        kinds, things, labels, anchors = [], [], [], []
        named: list[tuple[int, int, int]] = []
        facts: list[list[int]] = []
        for number, story in enumerate(stories):
            chronicle = Chronicle(story.sights, seconds)
            at, of = token_labels(chronicle)
            things += [(number, *place) for place in at]
            labels += of
            anchors += [(number, *at[i]) for i in anchored(chronicle, rng)]
            known: dict[int, list[int]] = {}
            asker, answers = Asker(chronicle, rng), Counter[str]()
            for question in range(each):
                turns = self._conversation(asker, rng, answers)
                branch = encode_branch(turns, rng, blur)
                branches.append(branch)
                for token, obj in branch.named:
                    named.append((number, question, token))
                    if obj not in known:
                        known[obj] = facts_of(obj, chronicle)
                    facts.append(known[obj])
                asked = [KINDS.index(turn.kind) for turn in turns]
                kinds.append(asked + [-1] * (most_turns - len(asked)))
        longest = max(len(branch.tokens) for branch in branches)

        def padded(rows: list[list[int]], fill: int) -> Tensor:
            filled = [row + [fill] * (longest - len(row)) for row in rows]
            return torch.tensor(filled).view(size, each, longest)

        keep = 1.0
        if rng.random() < self.phase.forget_share:
            keep = float(np.exp(rng.uniform(np.log(0.015), np.log(0.6))))
        return Clips(
            frames=torch.from_numpy(np.stack([story.rows for story in stories])),
            seconds=torch.tensor(seconds),
            tokens=padded([branch.tokens for branch in branches], 1),
            targets=padded([branch.targets for branch in branches], IGNORE),
            turns=padded([branch.turns for branch in branches], 0),
            kinds=torch.tensor(kinds).view(size, each, most_turns),
            things=torch.tensor(things, dtype=torch.long).view(-1, 3),
            labels=torch.tensor(labels, dtype=torch.long).view(len(things), -1),
            named=torch.tensor(named, dtype=torch.long).view(-1, 3),
            facts=torch.tensor(facts, dtype=torch.long).view(-1, len(FACTS)),
            keep=keep,
            anchors=torch.tensor(anchors, dtype=torch.long).view(-1, 3),
        )


def anchored(chronicle: Chronicle, rng: np.random.Generator) -> list[int]:
    """One or two tokens of every object at every place of every run, and of every text, as indices
    into `token_labels`: what any policy worth its name keeps."""
    groups: dict[tuple[int, int], list[int]] = {}
    index, text, spoken = 0, -1, 0
    for sight, runs in zip(chronicle.sights, chronicle.current, strict=True):
        for thing, run in zip(sight.things, runs, strict=True):
            groups.setdefault((id(run), thing.place), []).append(index)
            index += 1
        if sight.text >= 0:
            spoken -= sight.text != text  # no id of a run is below nothing
            groups.setdefault((spoken, sight.text_place), []).append(index)
            index += 1
        text = sight.text
    kept: list[int] = []
    for members in groups.values():
        # The first sight of a thing differs most from what was there before.
        picks = [0] if rng.random() < 0.5 else [int(rng.integers(len(members)))]
        if rng.random() < 0.4:
            picks.append(int(rng.integers(len(members))))
        kept += [members[pick] for pick in picks]
    return kept
