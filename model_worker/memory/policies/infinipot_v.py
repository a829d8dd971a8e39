"""InfiniPot-V (Kim et al. 2025, arXiv 2506.15745): query-free compression of video KV memory.

Two scores, per layer and KV head. TaR, temporal-axis redundancy (section 3.2): an older token is
kept where its key is least like the recent keys of the same patch. VaN, value norm (section 3.3):
the rest is filled with the largest values.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from model_worker.memory.policies.base import CompressionPolicy

_CHUNK = 2048  # tokens scored at once: in a core's cache, yet worth the call
_TINY = 1e-9  # a zero key has cosine 0 with everything


@dataclass(frozen=True)
class InfiniPotV(CompressionPolicy):
    """`tar_ratio`: the share of the budget that recent frames and TaR fill; VaN fills the rest."""

    name: ClassVar[str] = "infinipot_v"

    tar_ratio: float = 0.5

    def most_recent_tokens(self, budget: int) -> int:
        """See `CompressionPolicy.most_recent_tokens`."""
        return budget - _value_quota(budget, self.tar_ratio)

    def choose(
        self, keys: Tensor, values: Tensor, patch_index: Tensor, recent_tokens: int, budget: int
    ) -> Tensor:
        """See `CompressionPolicy.choose`."""
        return select(keys, values, patch_index, recent_tokens, budget, self.tar_ratio)


def select(
    keys: Tensor,
    values: Tensor,
    patch_index: Tensor,
    recent_tokens: int,
    budget: int,
    tar_ratio: float = 0.5,
) -> Tensor:
    """The tokens to keep: the recent ones, older ones by TaR, then older ones by value norm.

    Shapes are those of `CompressionPolicy.choose`. The TaR score of an older token is minus the
    mean cosine between its key and the recent keys of the same patch; 0 where no recent token is
    of that patch (which cannot happen while recent frames are whole). The recent tokens are
    always kept; `budget - round((1 - tar_ratio) * budget) - recent_tokens` older tokens are taken
    by TaR, the rest by the largest L2 norm of their values among those not yet taken. Among equal
    scores the older token is taken.

    The score is linear in the recent keys, so one mean of unit keys per patch and head stands for
    all of them: no `[heads, recent, past, patches, head_dim]` product is ever formed.

    Raises ValueError where the shapes disagree or the numbers leave no room, saying which number
    to change.
    """
    _check(keys, values, patch_index, recent_tokens, budget, tar_ratio)
    layers, heads, tokens, _ = keys.shape
    older = tokens - recent_tokens
    by_value = _value_quota(budget, tar_ratio)
    by_tar = budget - by_value - recent_tokens
    patch_index = patch_index.int()
    patches = int(patch_index.max()) + 1
    kept = torch.empty(layers, heads, budget, dtype=torch.int64, device=keys.device)
    kept[..., budget - recent_tokens :] = torch.arange(older, tokens, device=keys.device)
    for layer in range(layers):
        novelty = torch.stack(
            [
                _novelty(keys[layer, head], patch_index[layer, head], older, patches)
                for head in range(heads)
            ]
        )
        taken = _largest(novelty, by_tar)
        norms = torch.stack([_norms(values[layer, head, :older]) for head in range(heads)])
        taken |= _largest(norms.masked_fill_(taken, -torch.inf), by_value)
        kept[layer, :, : budget - recent_tokens] = taken.nonzero()[:, 1].view(heads, -1)
    return kept


def _novelty(keys: Tensor, patch_index: Tensor, older: int, patches: int) -> Tensor:
    """TaR scores `[older]` of one head. `keys` `[tokens, head_dim]`, `patch_index` `[tokens]`."""
    tokens, head_dim = keys.shape
    mean = keys.new_zeros(patches, head_dim, dtype=torch.float32)
    for part in _chunks(older, tokens):
        recent = keys[part].float()
        mean.index_add_(0, patch_index[part], recent / _length(recent)[:, None])
    count = torch.bincount(patch_index[older:], minlength=patches)
    mean /= count.clamp_min_(1)[:, None]
    scores = mean.new_empty(older)
    for part in _chunks(0, older):
        past = keys[part].float()
        likeness = mean.index_select(0, patch_index[part]).mul_(past).sum(dim=-1)
        torch.div(likeness, _length(past), out=scores[part])
    return scores.neg_().nan_to_num_(nan=-2.0)  # a broken key is less novel than any other


def _chunks(start: int, end: int) -> Iterator[slice]:
    for first in range(start, end, _CHUNK):
        yield slice(first, min(first + _CHUNK, end))


def _length(keys: Tensor) -> Tensor:
    norms: Tensor = torch.linalg.vector_norm(keys, dim=-1)
    return norms.clamp_min_(_TINY)


def _norms(values: Tensor) -> Tensor:
    """L2 norms `[tokens]` of values `[tokens, head_dim]`."""
    norms: Tensor = torch.linalg.vector_norm(values, dim=-1, dtype=torch.float32)
    return norms.nan_to_num_(nan=-1.0, posinf=-1.0)


def _largest(scores: Tensor, count: int) -> Tensor:
    """A mask `[heads, tokens]` of each head's `count` largest scores; the first among equals."""
    if count == 0:
        return torch.zeros_like(scores, dtype=torch.bool)
    smallest = scores.kthvalue(scores.shape[-1] - count + 1, dim=-1, keepdim=True).values
    above, equal = scores.gt(smallest), scores.eq(smallest)
    room = count - above.sum(dim=-1, keepdim=True)
    return above | (equal & equal.cumsum(dim=-1).le(room))


def _value_quota(budget: int, tar_ratio: float) -> int:
    return round((1 - tar_ratio) * budget)


def _check(
    keys: Tensor,
    values: Tensor,
    patch_index: Tensor,
    recent_tokens: int,
    budget: int,
    tar_ratio: float,
) -> None:
    if keys.dim() != 4 or values.shape != keys.shape:
        raise ValueError(
            "keys and values must both be [layers, kv_heads, tokens, head_dim], not "
            f"{list(keys.shape)} and {list(values.shape)}"
        )
    if patch_index.shape != keys.shape[:3]:
        raise ValueError(
            f"patch_index must be [layers, kv_heads, tokens] = {list(keys.shape[:3])}, not "
            f"{list(patch_index.shape)}"
        )
    if not 0.0 <= tar_ratio <= 1.0:
        raise ValueError(f"tar_ratio must lie between 0 and 1, not {tar_ratio}")
    tokens = keys.shape[2]
    if not 0 < budget <= tokens:
        raise ValueError(
            f"budget must lie between 1 and the {tokens} tokens there are, not {budget}: change "
            "budget"
        )
    if not 0 <= recent_tokens <= tokens:
        raise ValueError(
            f"recent_tokens must lie between 0 and the {tokens} tokens there are, not "
            f"{recent_tokens}: change recent_tokens"
        )
    room = budget - _value_quota(budget, tar_ratio)
    if recent_tokens > room:
        raise ValueError(
            f"{recent_tokens} recent tokens do not fit: of a budget of {budget}, {room} remain "
            f"after the value-norm share at tar_ratio {tar_ratio}; lower recent_tokens to "
            f"{room} or less, or raise budget or tar_ratio"
        )
