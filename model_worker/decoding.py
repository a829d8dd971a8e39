"""From logits to tokens and from tokens to text; knows nothing of models or memories."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

_HALF_CHARACTER = "\ufffd"  # what a decoder gives for bytes whose rest is yet to come


@dataclass(frozen=True)
class Sampling:
    """How an answer is decoded. Temperature 0 is greedy; without a seed answers differ."""

    max_tokens: int = 128
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens must be at least 1, not {self.max_tokens}")
        if not (math.isfinite(self.temperature) and self.temperature >= 0.0):
            raise ValueError(f"temperature must be 0 or more, not {self.temperature}")
        if not 0.0 < self.top_p <= 1.0:
            raise ValueError(f"top_p must lie above 0 and at most at 1, not {self.top_p}")


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
    """Token ids to pieces of text that concatenate to the whole text, never half a character."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        self.text = ""

    def push(self, token: int) -> str:
        """The text that one more token adds; empty while a character is incomplete."""
        self._ids.append(token)
        whole = self._decode()
        if whole.endswith(_HALF_CHARACTER) or not whole.startswith(self.text):
            return ""
        return self._advance(whole)

    def finish(self) -> str:
        """What `push` still held back."""
        whole = self._decode()
        return self._advance(whole) if whole.startswith(self.text) else ""

    def _advance(self, whole: str) -> str:
        piece = whole[len(self.text) :]
        self.text = whole
        return piece

    def _decode(self) -> str:
        decoded: str = self._tokenizer.decode(
            self._ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return decoded
