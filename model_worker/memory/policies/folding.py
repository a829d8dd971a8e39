"""Several tokens in one: a mean of values, and of keys that were turned to one position."""

import torch
from torch import Tensor

from model_worker.memory.policies.base import Merged
from model_worker.memory.policies.tokens import VisualTokens
from model_worker.memory.rotation import turn


def fold(tokens: VisualTokens, kept: Tensor, into: Tensor, weights: Tensor) -> Merged:
    """What the tokens become that others go into: the weighted means of values and of keys turned
    to where the token stands.

    `kept` is what `CompressionPolicy.choose` gave, and the tokens that others go into are among it.
    `into`, int64 `[layers, kv_heads, tokens]`: the token that each one goes into, itself perhaps,
    -1 for none; `weights`, of the same shape, are not negative. A token with something that is no
    number does not count, and what nothing goes into that counts stays as it is.
    """
    layers, heads, length = into.shape
    going = into.flatten().ge(0).nonzero()[:, 0]
    target = going - going % length + into.flatten()[going]
    keys = turn(_rows(tokens.keys, going).float(), _angles(tokens, target) - _angles(tokens, going))
    values = _rows(tokens.values, going).float()
    weight = weights.reshape(-1)[going].float()
    counts = keys.isfinite().all(-1) & values.isfinite().all(-1) & (weight > 0)
    target, weight = target[counts], weight[counts, None]
    targets, place = torch.unique(target, return_inverse=True)
    sums = torch.zeros(len(targets), 1, device=keys.device).index_add_(0, place, weight)
    means = [
        torch.zeros(len(targets), part.shape[-1], device=part.device)
        .index_add_(0, place, part[counts] * weight)
        .div_(sums)
        for part in (keys, values)
    ]
    slots = torch.zeros(layers, heads, length, dtype=torch.int64, device=kept.device)
    slots.scatter_(2, kept, torch.arange(kept.shape[2], device=kept.device).expand_as(kept))
    head = targets // length
    at = head // heads, head % heads, slots.flatten()[targets]
    return Merged(at, means[0], means[1])


def joined(first: Merged, second: Merged) -> Merged:
    """Both; no token is in both."""
    layer, head, slot = (torch.cat(pair) for pair in zip(first.at, second.at, strict=True))
    return Merged(
        (layer, head, slot),
        torch.cat((first.keys, second.keys)),
        torch.cat((first.values, second.values)),
    )


def _rows(numbers: Tensor, rows: Tensor) -> Tensor:
    """`[n, head_dim]` of `[layers, kv_heads, tokens, head_dim]`, by place among all tokens."""
    _, heads, length, _ = numbers.shape
    head = rows // length
    return numbers[head // heads, head % heads, rows % length]


def _angles(tokens: VisualTokens, rows: Tensor) -> Tensor:
    """By how much keys are turned, as `VisualTokens.turned`, by place among all tokens."""
    layout = tokens.known_layout
    positions = tokens.positions.reshape(-1)[rows]
    along = (positions[:, None].float() * layout.frequencies).double()
    return along.add_(layout.angles[tokens.patches.reshape(-1)[rows].long()])
