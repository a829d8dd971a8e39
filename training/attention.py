"""Attention over a clip and its conversations in two parts.

Visual tokens are causal, and each conversation sees the visual tokens and itself: half of the
square of all pairs is never looked at. Chunks of queries are attended with no more keys than they
can see, which takes half the time of one call with a dense mask.
"""

from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

NAME: Final = "blocks"
CHUNK: Final = 576  # queries


@dataclass(frozen=True)
class Blocks:
    """Who sees whom, as masks (True: may attend). `seen` tokens, the visual ones and what stands
    before them, come first, then the conversations."""

    seen: int
    chunks: tuple[Tensor, ...]  # of each chunk of the first: [B or 1, 1, chunk, its end]
    late: Tensor  # of the conversations: [B or 1, 1, K L, N]


def blocks(
    seen: int, conversations: int, length: int,
    now: Tensor | None = None, ends: Tensor | None = None,
) -> Blocks:  # fmt: skip
    """`conversations` of `length` tokens each after `seen` tokens. `now` [seen] is the frame of
    each, `ends` [B, seen] the frame from which on it is gone; None where nothing is forgotten."""
    order = torch.arange(seen)
    chunks = []
    for start in range(0, seen, CHUNK):
        end = min(seen, start + CHUNK)
        allowed = (order[:end] <= order[start:end, None])[None]
        if now is not None and ends is not None:
            allowed = allowed & (ends[:, None, :end] > now[start:end, None])
        chunks.append(allowed[:, None])
    token = torch.arange(conversations * length)
    own = (token[:, None] // length == token // length) & (token[:, None] >= token)
    past = torch.ones(1, seen, dtype=torch.bool)
    if now is not None and ends is not None:
        past = ends > now[-1] + 1  # the conversations come after the last frame
    past = past[:, None].expand(-1, len(token), -1)
    late = torch.cat([past, own[None].expand(len(past), -1, -1)], dim=2)
    return Blocks(seen, tuple(chunks), late[:, None])


def attend(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Blocks,
    scaling: float, **_: object,
) -> tuple[Tensor, None]:  # fmt: skip
    """An attention function of `transformers`: [B, heads, N, width] to [B, N, heads, width]."""
    layout = attention_mask
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    outs = []
    for i, allowed in enumerate(layout.chunks):
        start, end = i * CHUNK, min(layout.seen, (i + 1) * CHUNK)
        outs.append(
            F.scaled_dot_product_attention(
                query[:, :, start:end], key[:, :, :end], value[:, :, :end], allowed, scale=scaling
            )
        )
    late = query[:, :, layout.seen :]
    outs.append(F.scaled_dot_product_attention(late, key, value, layout.late, scale=scaling))
    return torch.cat(outs, dim=2).transpose(1, 2), None


ALL_ATTENTION_FUNCTIONS.register(NAME, attend)
