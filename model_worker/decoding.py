"""From logits to tokens and from tokens to text; knows nothing of models or memories."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from messages.questions import LONGEST_STOP, MOST_STOPS

_HALF_CHARACTER = "\ufffd"  # what a decoder gives for bytes whose rest is yet to come


@dataclass(frozen=True)
class Sampling:
    """How an answer is decoded. Temperature 0 is greedy; without a seed answers differ.

    The answer ends before the first text of `stop`, at most MOST_STOPS of 1 to LONGEST_STOP
    characters. Raises ValueError for what cannot be.
    """

    max_tokens: int = 128
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens must be at least 1, not {self.max_tokens}")
        if not (math.isfinite(self.temperature) and self.temperature >= 0.0):
            raise ValueError(f"temperature must be 0 or more, not {self.temperature}")
        if not 0.0 < self.top_p <= 1.0:
            raise ValueError(f"top_p must lie above 0 and at most at 1, not {self.top_p}")
        if len(self.stop) > MOST_STOPS:
            raise ValueError(
                f"stop takes at most {MOST_STOPS} sequences, not {len(self.stop)}: leave some out"
            )
        for sequence in self.stop:
            if not 1 <= len(sequence) <= LONGEST_STOP:
                raise ValueError(
                    f"a stop sequence has 1 to {LONGEST_STOP} characters, not {len(sequence)}"
                )


class Sampler:
    """Chooses tokens for one answer, with a random generator of its own."""

    def __init__(self, sampling: Sampling, device: torch.device) -> None:
        self._sampling = sampling
        self._generator = torch.Generator(device)
        if sampling.seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(sampling.seed % 2**63)

    def choose(self, logits: Tensor) -> int:
        """The next token, from logits `[vocabulary]`."""
        if self._sampling.temperature == 0.0:
            return int(logits.argmax())
        chances = torch.softmax(logits.double() / self._sampling.temperature, dim=-1)
        if self._sampling.top_p < 1.0:
            ordered, order = chances.sort(descending=True, stable=True)
            # The smallest set that reaches top_p: a token stays while those before it do not.
            ordered[ordered.cumsum(0) - ordered >= self._sampling.top_p] = 0.0
            chances = torch.zeros_like(chances).scatter_(0, order, ordered)
        return int(torch.multinomial(chances, 1, generator=self._generator))


class TextStream:
    """Token ids to pieces of text that concatenate to the whole text, never half a character.

    The text ends before the first stop sequence: of several that one token completes, the one
    that leaves the shortest text. What may be the beginning of one is held back.
    """

    def __init__(self, tokenizer: Any, stop: tuple[str, ...] = ()) -> None:
        self._tokenizer = tokenizer
        self._stop = stop
        self._ids: list[int] = []
        self.text = ""
        self.stopped = False
        """Whether a stop sequence has ended the text: nothing comes after it."""

    def push(self, token: int) -> str:
        """The text that one more token adds; empty while it is uncertain, and once stopped."""
        if self.stopped:
            return ""
        self._ids.append(token)
        whole = self._decode().rstrip(_HALF_CHARACTER)
        return self._advance(whole, len(whole) - self._beginning(whole))

    def finish(self) -> str:
        """What `push` still held back."""
        whole = self._decode()
        return "" if self.stopped else self._advance(whole, len(whole))

    def _advance(self, whole: str, end: int) -> str:
        """The piece of `whole` that is new, up to `end` or to a stop sequence."""
        given = len(self.text)
        if not whole.startswith(self.text):
            return ""
        found = [at for stop in self._stop if (at := whole.find(stop, given)) >= 0]
        if found:
            end, self.stopped = min(found), True
        piece = whole[given:end]
        self.text += piece
        return piece

    def _beginning(self, whole: str) -> int:
        """Characters at the end of `whole` that may be the beginning of a stop sequence."""
        return max(
            (n for stop in self._stop for n in range(1, len(stop)) if whole.endswith(stop[:n])),
            default=0,
        )

    def _decode(self) -> str:
        decoded: str = self._tokenizer.decode(
            self._ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return decoded
