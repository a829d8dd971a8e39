"""Batches: what is a target, what stands where."""

import numpy as np
import torch

from training.checkpoint import build_tokenizer
from training.clips import IGNORE, NOTHING, ClipBatches, Phase, dense_labels, encode_branch
from training.decoder import PREFIX, Stage1
from training.questions import Exchange, Frame


def test_the_targets_are_the_answers_and_nothing_else() -> None:
    tokenizer = build_tokenizer()
    turns = [
        Exchange("now", "what is it now?", "It is a clock."),
        Exchange("first", "what came first?", "The first thing was a dog."),
    ]
    tokens, targets, numbers, _ = encode_branch(turns, np.random.default_rng(0), blur=0.0)
    assert len(tokens) == len(targets) == len(numbers)
    said = tokenizer.decode([t for t in targets if t != IGNORE])
    assert said == "It is a clock.<|im_end|> The first thing was a dog.<|im_end|>"
    for here, following, target in zip(tokens, tokens[1:], targets, strict=False):
        assert target in (IGNORE, following), here


def test_training_writes_conversations_as_the_chat_template_does() -> None:
    tokenizer = build_tokenizer()
    turns = [Exchange("now", "What is it now?", "It is a cup."), Exchange("last", "what?", "x")]
    tokens, _, _, _ = encode_branch(turns, np.random.default_rng(0), blur=0.0)
    text_item = {"type": "text", "text": "What is it now?"}
    text = tokenizer.apply_chat_template(
        [
            {"role": "user", "content": [{"type": "video"}, text_item]},
            {"role": "assistant", "content": "It is a cup."},
            {"role": "user", "content": "what?"},
            {"role": "assistant", "content": "x"},
        ],
        tokenize=False,
    )  # fmt: skip
    whole = tokenizer.encode(text)
    video = tokenizer.convert_tokens_to_ids("<video>")
    assert whole[:PREFIX] == tokenizer.encode("<|im_start|>user")
    assert whole[PREFIX] == video
    assert whole[PREFIX + 1 :] == tokens[1:]


def test_dense_labels_follow_the_runs() -> None:
    frames = [Frame(-1, 0, 0), Frame(5, 0, 0), Frame(5, 0, 0), Frame(-1, 0, 1), Frame(9, 4, 1)]
    cells, before, count, start = dense_labels(frames)
    assert cells[0] == cells[3] == -1
    assert before == [NOTHING, NOTHING, NOTHING, NOTHING, 5]
    assert count == [0, 1, 1, 1, 2]
    assert start == [0, 1, 0, 0, 1]


def test_a_run_starts_with_its_first_frame_and_says_whether_the_object_is_new() -> None:
    clock, dog, empty = Frame(5, 0, 0), Frame(9, 4, 1), Frame(-1, 0, 1)
    _, _, count, start = dense_labels([clock, dog, dog, clock, clock, empty, clock])
    assert start == [1, 1, 0, 2, 0, 0, 0]
    assert count == [1, 2, 2, 2, 2, 2, 2]


def test_a_conversation_sees_the_video_and_itself_alone() -> None:
    positions, mask = Stage1.layout(frames=2, questions=2, length=3, stretch=1.0)
    seen = PREFIX + 18
    assert positions.shape[1] == seen + 6
    assert positions[0, seen : seen + 3].tolist() == positions[0, seen + 3 :].tolist()
    assert positions[0, seen] == positions[0, seen - 1] + 1
    allowed = mask[0, 0]
    assert not allowed[seen + 3 :, seen : seen + 3].any()
    assert not allowed[:seen, seen:].any()
    assert allowed[seen:, :seen].all()
    assert torch.equal(allowed[:seen, :seen], torch.ones(seen, seen, dtype=torch.bool).tril())


def test_a_dial_reaches_the_loading_process() -> None:
    maker = ClipBatches(Phase(1, 2), tokens=500, variants=1, seed=0)
    maker.turn_to(Phase(9, 9))
    assert next(iter(maker)).frames.shape[1] == 9
