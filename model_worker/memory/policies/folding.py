"""Several tokens in one: a mean of values, and of keys that were turned to one position."""

import torch
from torch import Tensor

from model_worker.memory.policies.base import Merged
from model_worker.memory.policies.tokens import VisualTokens
from model_worker.memory.rotation import turn


def fold(tokens: VisualTokens, into: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """The weighted means of all tokens that go into each one, keys and values, float32
    `[layers, kv_heads, tokens, head_dim]`, 0 where none goes.

    `into`, int64 `[layers, kv_heads, tokens]`: the token that each one goes into, itself perhaps,
    -1 for none; `weights`, of the same shape, are not negative. Keys are turned to where the
    token stands that they go into. A token with something that is no number does not count.
    """
    goes = into >= 0
    target = into.clamp_min(0)
    angles = tokens.turned()
    wide = target[..., None].expand_as(angles)
    keys = turn(tokens.keys.float(), angles.gather(2, wide).sub_(angles))
    values = tokens.values.float()
    sound = keys.isfinite().all(-1) & values.isfinite().all(-1)
    weight = torch.where(goes & sound, weights.float(), 0.0)
    sums = torch.zeros_like(weight).scatter_add_(2, target, weight).clamp_min_(1e-30)[..., None]
    means = []
    for part in (keys, values):
        weighted = torch.where(weight[..., None] > 0, part * weight[..., None], 0.0)
        where = target[..., None].expand_as(part)
        means.append(torch.zeros_like(part).scatter_add_(2, where, weighted) / sums)
    return means[0], means[1]


def merged(
    tokens: VisualTokens, kept: Tensor, changed: Tensor, keys: Tensor, values: Tensor
) -> Merged:
    """Of the tokens `kept` `[layers, kv_heads, budget]` those of `changed` (a mask
    `[layers, kv_heads, tokens]`) get the new keys and values; others stay, to the bit."""
    dtype = tokens.keys.dtype
    wide = kept[..., None].expand(*kept.shape, tokens.keys.shape[-1])
    fresh = changed.gather(2, kept)[..., None]
    slots = torch.arange(kept.shape[2], device=kept.device).expand_as(kept)
    return Merged(
        slots,
        torch.where(fresh, keys.to(dtype).gather(2, wide), tokens.keys.gather(2, wide)),
        torch.where(fresh, values.to(dtype).gather(2, wide), tokens.values.gather(2, wide)),
    )
