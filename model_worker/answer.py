"""One answer: prefilled and decoded in the scratch region, one bounded piece of work at a time."""

from collections.abc import Callable, Iterator
from typing import Literal

import torch
from torch import Tensor

from model_worker.decoding import Sampler, Sampling, TextStream
from model_worker.families.base import FamilyAdapter, Grid
from model_worker.memory.cache import BoundedCache
from model_worker.prompt import Prompt
from model_worker.work import Piece, advance

Status = Literal["running", "completed", "cancelled", "incomplete"]

_CHUNK = 256  # tokens a prefill step takes at most, so that other work is not held up


class Answer:
    """An answer as it is written. It sees the memory as it was when it was asked.

    `span`: stream time in seconds of the oldest and the newest frame it can rest on. Of the
    conversation it sees the last `turns_kept` turns; `turns_forgotten` before them are gone.
    """

    def __init__(
        self,
        adapter: FamilyAdapter,
        cache: BoundedCache,
        question: str,
        make_prompt: Callable[[], Prompt],
        sampling: Sampling,
        span: tuple[float, float],
        visible: int,
        highest_position: int,
        turns_kept: int,
        turns_forgotten: int,
        on_end: Callable[["Answer"], None],
    ) -> None:
        self.question = question
        self.span: tuple[float, float] | None = span
        self.status: Status = "running"
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.turns_kept = turns_kept
        self.turns_forgotten = turns_forgotten
        self._adapter = adapter
        self._cache: BoundedCache | None = cache
        self._make_prompt = make_prompt
        self._prompt: Prompt | None = None
        self._prefilled = 0
        self._sampling = sampling
        self._sampler = Sampler(sampling, adapter.device)
        self._prefix = cache.shape.prefix
        self._visible = visible
        self._next_position = highest_position + 1
        self._stop_ids = adapter.stop_ids()
        self._token: int | None = None
        self._unread = ""
        self._stream = TextStream(adapter.tokenizer, sampling.stop)
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

    def step(self) -> str | None:
        """One prefill chunk or one token. Returns the text that it completes, which may be "", and
        None once the answer is finished.

        Whatever it raises has ended the answer and rolled the scratch region back.
        """
        if not self.running:
            return None
        try:
            for error in advance(self._adapter, [self]).values():
                raise error
        except BaseException:  # Ctrl-C in the middle of a step, too
            self.cancel()
            raise
        return self.read()

    def read(self) -> str:
        """The text that was written since it was last read."""
        text, self._unread = self._unread, ""
        return text

    def cancel(self) -> None:
        """Stop now. Does nothing to a finished answer."""
        if self.running:
            self._end("cancelled")

    # -- as work --------------------------------------------------------------------------------

    def pictures(self) -> tuple[Tensor, Grid] | None:
        """See `Work`."""
        return None

    def seen(self, visual: Tensor) -> None:
        """See `Work`."""
        raise AssertionError("an answer sends nothing to the tower")

    def piece(self) -> Piece | None:
        """The next chunk of the prompt, or the token that was chosen last."""
        if not self.running:
            return None
        assert self._cache is not None
        if self._token is not None:
            embeddings = self._adapter.embed([self._token])
            positions = self._adapter.text_positions(self._next_position, 1)
            speaks = True
        else:
            prompt = self._prompt = self._prompt or self._begin()
            chunk = slice(self._prefilled, self._prefilled + _CHUNK)
            embeddings, positions = prompt.embeddings[chunk], prompt.positions[:, chunk]
            speaks = self._prefilled + len(embeddings) == len(prompt.embeddings)
        segment = self._cache.begin_scratch(len(embeddings), self._visible)
        return Piece(embeddings, positions, segment, speaks)

    def commit(self, logits: Tensor | None) -> Piece | None:
        """See `Work`: the chunk is read, or the token was heard and the next one is chosen."""
        assert self._cache is not None
        if self._token is not None:
            self._cache.commit_scratch(1)
            self._next_position += 1
        else:
            assert self._prompt is not None
            chunk = min(_CHUNK, len(self._prompt.embeddings) - self._prefilled)
            self._cache.commit_scratch(chunk)
            self._prefilled += chunk
        if logits is not None:
            if not torch.isfinite(logits.max()):
                raise ArithmeticError("what the model says is not numbers: its memory is damaged")
            self._write(self._sampler.choose(logits))
        return None

    def abandon(self) -> None:
        """See `Work`."""
        self.cancel()

    def _begin(self) -> Prompt:
        prompt = self._make_prompt()
        self._next_position = max(self._next_position, int(prompt.positions.max()) + 1)
        self.prompt_tokens = self._prefix + self._visible + len(prompt.embeddings)
        return prompt

    def _write(self, token: int) -> None:
        self._token = token
        if token in self._stop_ids:
            self._unread += self._stream.finish()
            self._end("completed")
            return
        self._unread += self._stream.push(token)
        self.completion_tokens += 1
        if self._stream.stopped:
            self._end("completed")
        elif self.completion_tokens == self._sampling.max_tokens:
            self._unread += self._stream.finish()
            self._end("incomplete")

    def _end(self, status: Status) -> None:
        self.status = status
        assert self._cache is not None
        self._cache.rollback()
        self._cache = self._prompt = None  # a finished answer holds no memory
        self._on_end(self)
