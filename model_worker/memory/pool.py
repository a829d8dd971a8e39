"""The KV memory of all sessions on a device: one buffer, of which each session holds an extent.

The buffer is `[layers, 2, kv_heads, tokens, head_dim]` (2: keys, values). An extent is a run of
tokens, the same in every layer and head, so that one index says where a token stands and nothing
has to be copied to bring sessions together in a batch. Where the free tokens lie scattered, extents
are moved together: whatever fits by arithmetic fits.
"""

import torch
from torch import Tensor

_CHUNK = 4096  # tokens moved at once


class PoolFull(RuntimeError):
    """The pool has fewer free tokens than are wanted; the message has both numbers."""


class Extent:
    """A session's tokens `start .. start + tokens`; the pool may move them."""

    def __init__(self, start: int, tokens: int) -> None:
        self.start = start
        self.tokens = tokens

    @property
    def end(self) -> int:
        return self.start + self.tokens


class KVPool:
    """Memory for `tokens` tokens in all, or, where that is None, for as many as are asked for.

    A pool without a bound takes memory when a session opens and gives it back when the last one
    has gone; one with a bound takes it once.
    """

    def __init__(
        self,
        *,
        layers: int,
        kv_heads: int,
        head_dim: int,
        dtype: torch.dtype,
        device: torch.device,
        tokens: int | None = None,
    ) -> None:
        self._extents: list[Extent] = []  # by where they stand
        self._bound = tokens
        self.buffer = torch.empty(
            layers, 2, kv_heads, tokens or 0, head_dim, dtype=dtype, device=device
        )

    @property
    def bytes_per_token(self) -> int:
        """Of keys and values, over all layers and heads."""
        layers, two, heads, _, head_dim = self.buffer.shape
        return layers * two * heads * head_dim * self.buffer.element_size()

    @property
    def used_tokens(self) -> int:
        return sum(extent.tokens for extent in self._extents)

    @property
    def used_bytes(self) -> int:
        return self.used_tokens * self.bytes_per_token

    @property
    def bytes(self) -> int | None:
        """What all extents together may take; None: there is no bound."""
        return None if self._bound is None else self._bound * self.bytes_per_token

    def allocate(self, tokens: int) -> Extent:
        """An extent of `tokens` zeros. Raises PoolFull, and then nothing has changed."""
        start = self._gap(tokens)
        if start is None and self._bound is None:
            self._resize(self.used_tokens + tokens)
            start = self.used_tokens
        elif start is None:
            free = self._bound - self.used_tokens if self._bound is not None else 0
            if tokens > free:
                raise PoolFull(
                    f"the KV memory has {free} of {self._bound} tokens free and {tokens} are wanted"
                )
            self._gather(self.buffer)
            start = self.used_tokens
        extent = Extent(start, tokens)
        self._extents.append(extent)
        self._extents.sort(key=lambda each: each.start)
        # Of another session nothing may be left, and what a mask hides must be a number.
        self.view(extent).zero_()
        return extent

    def free(self, extent: Extent) -> None:
        """Give an extent back."""
        self._extents.remove(extent)
        if not self._extents and self._bound is None:
            self._resize(0)

    def view(self, extent: Extent) -> Tensor:
        """`[layers, 2, kv_heads, extent.tokens, head_dim]`; until the next `allocate`."""
        return self.buffer[:, :, :, extent.start : extent.end]

    def _gap(self, tokens: int) -> int | None:
        """The first place where so many free tokens stand together."""
        start = 0
        for extent in self._extents:
            if extent.start - start >= tokens:
                return start
            start = extent.end
        return start if self.buffer.shape[3] - start >= tokens else None

    def _resize(self, tokens: int) -> None:
        """A new buffer, the extents together at its front."""
        old = self.buffer
        layers, two, heads, _, head_dim = old.shape
        self.buffer = old.new_empty(layers, two, heads, tokens, head_dim)
        self._gather(old)

    def _gather(self, source: Tensor) -> None:
        """Move the extents, which stand in `source`, to the front of the buffer.

        None moves to a later place, so that within one buffer an earlier chunk never overwrites
        what a later one reads."""
        place = 0
        for extent in self._extents:
            shift = extent.start - place
            if shift or source is not self.buffer:
                step = min(_CHUNK, shift) if source is self.buffer else _CHUNK
                for first in range(place, place + extent.tokens, step):
                    end = min(first + step, place + extent.tokens)
                    moved = source[:, :, :, first + shift : end + shift]
                    self.buffer[:, :, :, first:end] = moved
            extent.start = place
            place = extent.end
