"""One answer: prefilled and decoded in the scratch region, one bounded piece of work a step."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from model_worker.decoding import Sampler, Sampling, TextStream
from model_worker.families.base import FamilyAdapter
from model_worker.memory.cache import BoundedCache

Status = Literal["running", "completed", "cancelled", "incomplete"]

_CHUNK = 256  # tokens a prefill step takes at most, so that other work is not held up


@dataclass(frozen=True)
class Prompt:
    """What is prefilled: embeddings `[tokens, hidden]` at positions `[axes, tokens]`."""

    embeddings: Tensor
    positions: Tensor


class Answer:
    """An answer as it is written. It sees the memory as it was when it was asked.

    `span`: stream time in seconds of the oldest and the newest frame it can rest on.
    """

    def __init__(
        self,
        adapter: FamilyAdapter,
        cache: BoundedCache,
        question: str,
        make_prompt: Callable[[], Prompt],
        sampling: Sampling,
        span: tuple[float, float],
        highest_position: int,
        on_end: Callable[["Answer"], None],
    ) -> None:
        self.question = question
        self.span: tuple[float, float] | None = span
        self.status: Status = "running"
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self._adapter = adapter
        self._cache: BoundedCache | None = cache
        self._make_prompt = make_prompt
        self._prompt: Prompt | None = None
        self._prefilled = 0
        self._sampling = sampling
        self._sampler = Sampler(sampling, adapter.device)
        self._prefix = cache.shape.prefix
        self._visible = cache.visual_length
        self._next_position = highest_position + 1
        self._stop_ids = adapter.stop_ids()
        self._token: int | None = None
        self._logits: Tensor | None = None
        self._stream = TextStream(adapter.tokenizer)
        self._on_end = on_end

    @property
    def text(self) -> str:
        """What is written so far."""
        return self._stream.text

    @property
    def running(self) -> bool:
        return self.status == "running"

    def __iter__(self) -> Iterator[str]:
        """Run to the end; yields the pieces of text that are not empty."""
        while (piece := self.step()) is not None:
            if piece:
                yield piece

    @torch.no_grad()
    def step(self) -> str | None:
        """One prefill chunk (returns "") or one token (returns the text that it completes, which
        may be ""). Returns None once the answer is finished.

        Whatever it raises has ended the answer and rolled the scratch region back.
        """
        if not self.running:
            return None
        try:
            if self._logits is None and self._token is None:
                self._prefill()
                return ""
            return self._decode()
        except BaseException:
            self._end("cancelled")
            raise

    def cancel(self) -> None:
        """Stop now. Does nothing to a finished answer."""
        if self.running:
            self._end("cancelled")

    def _prefill(self) -> None:
        if self._prompt is None:
            self._prompt = self._make_prompt()
            last = int(self._prompt.positions.max())
            self._next_position = max(self._next_position, last + 1)
            self.prompt_tokens = self._prefix + self._visible + len(self._prompt.embeddings)
        chunk = slice(self._prefilled, self._prefilled + _CHUNK)
        embeddings = self._prompt.embeddings[chunk]
        hidden = self._forward(embeddings, self._prompt.positions[:, chunk])
        self._prefilled += len(embeddings)
        if self._prefilled == len(self._prompt.embeddings):
            self._logits = self._adapter.logits(hidden[-1])

    def _decode(self) -> str:
        if self._logits is None:
            assert self._token is not None
            position = self._adapter.text_positions(self._next_position, 1)
            hidden = self._forward(self._adapter.embed([self._token]), position)
            self._next_position += 1
            self._logits = self._adapter.logits(hidden[-1])
        self._token = self._sampler.choose(self._logits)
        self._logits = None
        if self._token in self._stop_ids:
            piece = self._stream.finish()
            self._end("completed")
            return piece
        piece = self._stream.push(self._token)
        self.completion_tokens += 1
        if self.completion_tokens == self._sampling.max_tokens:
            piece += self._stream.finish()
            self._end("incomplete")
        return piece

    def _forward(self, embeddings: Tensor, positions: Tensor) -> Tensor:
        assert self._cache is not None
        mask = self._cache.begin_scratch(len(embeddings), self._visible)
        hidden = self._adapter.forward(embeddings, positions, mask, self._cache)
        self._cache.commit_scratch(len(embeddings))
        return hidden

    def _end(self, status: Status) -> None:
        self.status = status
        assert self._cache is not None
        self._cache.rollback()
        self._cache = self._prompt = None  # a finished answer holds no memory
        self._on_end(self)
