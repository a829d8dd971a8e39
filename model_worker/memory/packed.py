"""Several sessions' tokens in one forward pass, each over a memory of its own.

The tokens of all stand one behind the other in one row, `[1, heads, tokens, head_dim]`, without
padding: what a layer does token by token it does once for all of them. Keys and values are written
into the pool by index, and attention reads each session's part of the pool where it stands.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import torch
from torch import Tensor
from transformers import AttentionInterface
from transformers.cache_utils import Cache
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from model_worker.memory.pool import Extent, KVPool

ATTENTION: Final = "lookback_packed"
_TAKES_GROUPS = ("cpu",)  # devices whose fused attention takes a mask and grouped heads at once


@dataclass(frozen=True)
class Segment:
    """One session's new tokens: they stand in its extent from `at` on and see what stands before
    them, but for what `hidden` (first, end) spans; among themselves they are causal."""

    pool: KVPool
    extent: Extent
    at: int
    tokens: int
    hidden: tuple[int, int] = (0, 0)

    @property
    def end(self) -> int:
        return self.at + self.tokens

    def mask(self) -> Tensor | None:
        """What is added to the attention logits, `[tokens, end]` of 0 and -inf; None: nothing."""
        first, end = self.hidden
        if self.tokens == 1 and first == end:
            return None
        buffer = self.pool.buffer
        mask = torch.zeros(self.tokens, self.end, dtype=buffer.dtype, device=buffer.device)
        mask[:, first:end] = -torch.inf
        if self.tokens > 1:
            later = torch.full_like(mask[:, self.at :], -torch.inf)
            mask[:, self.at :] = later.triu_(1)
        return mask


class PackedCache(Cache):  # type: ignore[misc]
    """What `transformers` takes for its KV cache during one forward over `segments`, which are of
    one pool and stand in the order of the row."""

    def __init__(self, segments: Sequence[Segment]) -> None:
        super().__init__(layers=[])
        self.segments = segments
        self.lengths = [segment.tokens for segment in segments]
        self._buffer = segments[0].pool.buffer
        assert all(segment.pool is segments[0].pool for segment in segments)

    @cached_property
    def slots(self) -> Tensor:
        """The place in the pool of each token of the row, `[tokens]`."""
        starts = [segment.extent.start + segment.at for segment in self.segments]
        places = [
            torch.arange(start, start + count)
            for start, count in zip(starts, self.lengths, strict=True)
        ]
        return torch.cat(places).to(self._buffer.device)

    @cached_property
    def views(self) -> list[tuple[tuple[Tensor, ...], tuple[Tensor, ...], Tensor | None]]:
        """Of each segment: keys and values by layer, each `[1, kv_heads, end, head_dim]`, and the
        mask `[tokens, end]`."""
        views = []
        for segment in self.segments:
            start = segment.extent.start
            seen = self._buffer[:, :, :, start : start + segment.end]
            keys, values = seen[:, :1].unbind(0), seen[:, 1:].unbind(0)
            views.append((keys, values, segment.mask()))
        return views

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Write the row's `[1, kv_heads, tokens, head_dim]` into the pool. They come back as they
        are: `attend` reads the pool."""
        keys, values = self._buffer[layer_idx]
        keys.index_copy_(1, self.slots, key_states[0])
        values.index_copy_(1, self.slots, value_states[0])
        return key_states, value_states

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return 0

    def attend(self, layer: int, query: Tensor, scaling: float) -> Tensor:
        """Attention of the row `[1, heads, tokens, head_dim]`, each segment over its own part of
        the pool: `[1, tokens, heads, head_dim]`."""
        parts = torch.split(query, self.lengths, dim=2)
        outputs = [
            _attend(part, keys[layer], values[layer], mask, scaling)
            for part, (keys, values, mask) in zip(parts, self.views, strict=True)
        ]
        joined = torch.cat(outputs, dim=2) if len(outputs) > 1 else outputs[0]
        return joined.transpose(1, 2)


def _attend(
    query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, scale: float
) -> Tensor:
    """`[1, heads, tokens, head_dim]` over `[1, kv_heads, keys, head_dim]`; query heads that share
    a KV head stand together, and nothing of keys and values is repeated in memory."""
    _, heads, tokens, head_dim = query.shape
    kv_heads = keys.shape[1]
    if tokens == 1:  # the heads of a group as the tokens of one head
        query = query.view(1, kv_heads, heads // kv_heads, head_dim)
        attended = _sdpa(query, keys, values, attn_mask=mask, scale=scale)
        return attended.view(1, heads, 1, head_dim)
    if query.device.type in _TAKES_GROUPS:
        return _sdpa(query, keys, values, attn_mask=mask, scale=scale, enable_gqa=True)
    # Elsewhere the kernels that take a mask take no groups: a group as a batch without a stride.
    group = heads // kv_heads
    query = query.view(kv_heads, group, tokens, head_dim).transpose(0, 1)
    shape = (group, kv_heads, keys.shape[2], head_dim)
    attended = _sdpa(query, keys.expand(shape), values.expand(shape), attn_mask=mask, scale=scale)
    return attended.transpose(0, 1).reshape(1, heads, tokens, head_dim)


_sdpa = torch.nn.functional.scaled_dot_product_attention


def packed_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    packed: PackedCache | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """An attention function of `transformers`; without `packed`, its own causal one."""
    if packed is None:
        output, _ = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **kwargs
        )
        return output, None
    layer = module.layer_idx
    assert isinstance(layer, int)
    return packed.attend(layer, query, scaling or query.shape[-1] ** -0.5), None


AttentionInterface.register(ATTENTION, packed_attention)
