"""Batches: rows, targets, what stands where; and a step of the decoder on them."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from training.bank import Stored
from training.checkpoint import build_model, build_tokenizer
from training.clips import IGNORE, SAME, ClipBatches, Phase, encode_branch
from training.decoder import PHASES, phase_at, rate_at
from training.labels import FACTS, TOKEN_LABELS
from training.phrasings import KINDS
from training.questions import Exchange
from training.stage1 import Stage1, lifetimes
from training.stories import clock
from training.takes import Drawer
from training.tower import Stage0

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def takes() -> list[Stored]:
    drawer = Drawer(np.random.default_rng(0))
    drawn = [drawer.draw() for _ in range(300)]
    edges = np.cumsum([0, *(len(take.shots) for take in drawn)]).tolist()
    return [Stored(t, tuple(range(edges[i], edges[i + 1] + 1))) for i, t in enumerate(drawn)]


def test_the_targets_are_the_answers_and_pronouns_are_named() -> None:
    tokenizer = build_tokenizer()
    turns = [
        Exchange("where", "where was the dog?", "The dog was on the left.", 2, "dog", 2),
        Exchange("it", "what came after it?", "I saw a cat after the dog.", 2, "it", 2),
    ]
    branch = encode_branch(turns, np.random.default_rng(0), blur=0.0)
    said = tokenizer.decode([t for t in branch.targets if t != IGNORE])
    assert said == "The dog was on the left.<|im_end|> I saw a cat after the dog.<|im_end|>"
    words = [tokenizer.decode([branch.tokens[token]]) for token, _ in branch.named]
    assert words == ["dog", "it"]


def test_a_batch_holds_together(takes: list[Stored]) -> None:
    maker = ClipBatches(takes, Phase(5, 5, 3, 0.0, 1.0, 1.0), 1000, seed=1)
    clips = maker.batch(20, 3, np.random.default_rng(2))
    assert clips.frames.shape == (3, 20) and len(clips.seconds) == 20
    assert clips.tokens.shape == clips.targets.shape == clips.turns.shape
    assert clips.labels.shape == (len(clips.things), len(TOKEN_LABELS))
    assert clips.facts.shape == (len(clips.named), len(FACTS))
    for i, classes in enumerate(FACTS.values()):
        known = clips.facts[:, i][clips.facts[:, i] != IGNORE]
        assert ((known >= 0) & (known < classes)).all()
    # Whatever is forgotten, each object at each place keeps a token.
    alive = lifetimes(clips).view(3, 20, 9) == torch.iinfo(torch.int64).max
    assert alive[tuple(clips.anchors.T)].all() and not alive.all()


def test_what_has_one_answer_is_asked_of_a_clip_twice_at_most(takes: list[Stored]) -> None:
    maker = ClipBatches(takes, Phase(5, 5), 1000, seed=1, questions=60)
    clips = maker.batch(20, 2, np.random.default_rng(2))
    for kind in ("count", "many"):  # the answer may be anything, but it is one
        asked = (clips.kinds == KINDS.index(kind)).flatten(1).sum(1)
        assert 1 <= asked.max() <= SAME


@pytest.mark.parametrize("forget_share", [0.0, 1.0])
def test_the_decoder_takes_a_step_on_it(takes: list[Stored], forget_share: float) -> None:
    torch.manual_seed(0)
    model = build_model(build_tokenizer())
    stage = Stage1(Stage0(model), model)
    maker = ClipBatches(takes, Phase(5, 5, 2, 0.0, 1.0, forget_share), 1000, seed=1, questions=4)
    clips = maker.batch(6, 2, np.random.default_rng(3))
    loss, right, _ = stage(clips, torch.randn(2, 54, 192))
    loss.backward()
    assert torch.isfinite(loss) and right.shape == clips.kinds.shape
    assert stage.core.vision_tower.embeddings.position_embedding.weight.grad is None


def test_clocks_rise_and_stay_in_the_trained_range() -> None:
    rng = np.random.default_rng(4)
    for frames in (2, 30, 600):
        for _ in range(30):
            times = clock(frames, 3600, rng, 1.0)
            assert len(times) == frames and times[0] == 0 and times[-1] <= 3610 + frames
            assert all(a < b for a, b in pairwise(times))
    assert clock(5, 3600, rng, 0.0) == [0, 1, 2, 3, 4]


def test_phases_follow_what_is_done_and_rates_end_at_nothing() -> None:
    assert phase_at(0) == PHASES[0][1] and phase_at(1) == PHASES[-1][1]
    assert rate_at(100, 600) == 1.0 and rate_at(562.5, 600) == 0.5 and rate_at(600, 600) == 0.0
