"""Sampling and text pieces."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

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
        ({"stop": ("a",) * 5}, "at most 4 sequences, not 5"),
        ({"stop": ("a", "")}, "1 to 64 characters, not 0"),
        ({"stop": ("x" * 65,)}, "1 to 64 characters, not 65"),
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Sampling(**wrong)


def test_stop_sequences_within_the_limits_are_taken() -> None:
    stop = ("\n", "x" * 64, "é" * 64, " ")
    assert Sampling(stop=stop).stop == stop


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


class Pieces:
    """A tokenizer whose tokens are the given pieces of text."""

    def __init__(self, *pieces: str) -> None:
        self._pieces = [piece.encode() for piece in pieces]

    def decode(self, ids: list[int], **_: object) -> str:
        return b"".join(self._pieces[i] for i in ids).decode(errors="replace")


def streamed(stop: tuple[str, ...], *pieces: str) -> tuple[list[str], TextStream]:
    """What each push gave, then what finish gave, and the stream."""
    stream = TextStream(Pieces(*pieces), stop)
    told = [stream.push(i) for i in range(len(pieces))]
    return [*told, stream.finish()], stream


@pytest.mark.parametrize(
    ("stop", "pieces", "expected", "stopped"),
    [
        # inside one piece
        (("END",), ["one END two"], ["one ", ""], True),
        (("END",), ["END"], ["", ""], True),
        # across pieces
        (("END",), ["one E", "N", "D two"], ["one ", "", "", ""], True),
        # nothing comes after it
        (("END",), ["one END", " two"], ["one ", "", ""], True),
        # what only looks like a beginning is given as soon as that is certain
        (("END",), ["one EN", "ough"], ["one ", "ENough", ""], False),
        (("END",), ["E", "E", "N", "E", "x"], ["", "E", "", "EN", "Ex", ""], False),
        # beginnings that overlap: the second one is the true one
        (("aab",), ["a", "a", "a", "b"], ["", "", "a", "", ""], True),
        (("abac",), ["aba", "bac"], ["", "ab", ""], True),
        # finish gives what was held back
        (("END",), ["one EN"], ["one ", "EN"], False),
        # several: the shortest text wins, in whatever order they are given
        (("cd", "abcdef"), ["xabcdef"], ["x", ""], True),
        (("abcdef", "cd"), ["xabcdef"], ["x", ""], True),
        (("lo", "l"), ["hello"], ["he", ""], True),
        # one that ends while another only begins
        (("abcd", "bc"), ["ab", "c", "d"], ["", "a", "", ""], True),
        (("\n\n", "User:"), ["yes\n", "Use", "r: no"], ["yes", "\n", "", ""], True),
    ],
)
def test_text_ends_before_a_stop_sequence(
    stop: tuple[str, ...], pieces: list[str], expected: list[str], stopped: bool
) -> None:
    told, stream = streamed(stop, *pieces)
    assert told == expected
    assert stream.stopped is stopped
    assert stream.text == "".join(expected)


def test_a_stop_sequence_is_seen_before_half_a_character(llava: Engine) -> None:
    tokenizer = llava.adapter.tokenizer
    stream = TextStream(tokenizer, ("日本",))
    ids = tokenizer("x日本🦊").input_ids[: len("x日本".encode()) + 1]
    assert "".join(stream.push(token) for token in ids) == "x"
    assert stream.stopped


@given(
    st.text("ab", max_size=12),
    st.lists(st.text("ab", min_size=1, max_size=4), max_size=4),
    st.data(),
)
def test_text_is_cut_however_it_comes_in_pieces(text: str, stop: list[str], data: Any) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=4).map(sorted))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    told, stream = streamed(tuple(stop), *pieces)
    assert "".join(told) == stream.text
    assert stream.stopped is any(sequence in text for sequence in stop)
    assert not any(sequence in stream.text for sequence in stop)
    rest = text[len(stream.text) :]
    assert text.startswith(stream.text)
    assert not rest if not stream.stopped else rest.startswith(tuple(stop))
