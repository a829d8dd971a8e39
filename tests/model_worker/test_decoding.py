"""Sampling and text pieces."""

import pytest
import torch

from model_worker.decoding import Sampler, Sampling, TextStream
from model_worker.engine import Engine

LOGITS = torch.tensor([0.0, 3.0, 2.0, -1.0, 2.9])
CPU = torch.device("cpu")


def draws(sampling: Sampling, count: int = 200) -> list[int]:
    sampler = Sampler(sampling, CPU)
    return [sampler.choose(LOGITS) for _ in range(count)]


def test_temperature_zero_is_greedy() -> None:
    assert set(draws(Sampling())) == {1}


def test_a_seed_gives_the_same_draws_and_another_seed_others() -> None:
    first = draws(Sampling(temperature=1.0, seed=7))
    assert first == draws(Sampling(temperature=1.0, seed=7))
    assert first != draws(Sampling(temperature=1.0, seed=8))
    assert len(set(first)) > 2


def test_without_a_seed_draws_differ() -> None:
    assert draws(Sampling(temperature=1.0)) != draws(Sampling(temperature=1.0))


def test_drawing_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    draws(Sampling(temperature=1.0, seed=3))
    assert torch.equal(torch.rand(1), expected)


def test_frequencies_follow_the_softmax() -> None:
    counts = torch.bincount(torch.tensor(draws(Sampling(temperature=2.0, seed=0), 4000)))
    expected = torch.softmax(LOGITS / 2.0, 0) * 4000
    assert (counts - expected).abs().max() < 150


def test_top_p_keeps_the_smallest_set_that_reaches_it() -> None:
    chances = torch.softmax(LOGITS, 0)  # tokens 1, 4, 2 in this order
    just_two = float(chances[1] + chances[4])
    assert set(draws(Sampling(temperature=1.0, top_p=just_two - 0.01, seed=0))) == {1, 4}
    assert set(draws(Sampling(temperature=1.0, top_p=just_two + 0.01, seed=0))) == {1, 4, 2}
    assert set(draws(Sampling(temperature=1.0, top_p=1e-9, seed=0))) == {1}


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_p": 0.0}, "top_p"),
        ({"top_p": 1.1}, "top_p"),
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, float], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Sampling(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["plain", "schön 日本語 🦊🎈", "a\u0301b", "  spaces  ", ""])
def test_pieces_concatenate_to_the_text_without_half_characters(llava: Engine, text: str) -> None:
    tokenizer = llava.adapter.tokenizer
    stream = TextStream(tokenizer)
    pieces = [stream.push(token) for token in tokenizer(text).input_ids]
    assert not any("\ufffd" in piece for piece in pieces)
    pieces.append(stream.finish())
    assert "".join(pieces) == text == stream.text


def test_a_character_that_never_ends_is_given_at_the_end(llava: Engine) -> None:
    tokenizer = llava.adapter.tokenizer
    stream = TextStream(tokenizer)
    cut = tokenizer("ok🦊").input_ids[:-1]
    pieces = [stream.push(token) for token in cut]
    assert "".join(pieces) == "ok"
    pieces.append(stream.finish())
    assert "".join(pieces) == tokenizer.decode(cut) == "ok\ufffd"


def test_control_tokens_are_no_text(llava: Engine) -> None:
    tokenizer = llava.adapter.tokenizer
    stream = TextStream(tokenizer)
    ids = tokenizer("<|im_start|>a<|video_pad|>b").input_ids
    assert "".join(stream.push(token) for token in ids) == "ab"
