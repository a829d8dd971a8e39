"""InfiniPot-V (Kim et al. 2025, arXiv 2506.15745): query-free compression of video KV memory.

Two scores, per layer and KV head. TaR, temporal-axis redundancy (section 3.2): an older token is
kept where its key is least like the recent keys of the same patch. VaN, value norm (section 3.3):
the rest is filled with the largest values.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from model_worker.memory.policies.base import CompressionPolicy
from model_worker.memory.policies.choosing import largest, value_norms
from model_worker.memory.policies.tokens import VisualTokens

_CHUNK = 1 << 18  # numbers scored at once: in a core's cache, yet worth the call
_TINY = 1e-9  # a zero key has cosine 0 with everything


@dataclass(frozen=True)
class InfiniPotV(CompressionPolicy):
    """`tar_ratio`: the share of the budget that recent frames and TaR fill; VaN fills the rest."""

    name: ClassVar[str] = "infinipot_v"

    tar_ratio: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.tar_ratio <= 1:
            raise ValueError(f"tar_ratio must lie between 0 and 1, not {self.tar_ratio}")

    def most_recent_tokens(self, budget: int) -> int:
        """See `CompressionPolicy.most_recent_tokens`."""
        return budget - _value_quota(budget, self.tar_ratio)

    def choose(self, tokens: VisualTokens, recent_tokens: int, budget: int) -> Tensor:
        """See `CompressionPolicy.choose`."""
        return select(
            tokens.keys,
            tokens.values,
            tokens.patches,
            recent_tokens,
            budget,
            self.tar_ratio,
            self.worth(tokens, len(tokens) - recent_tokens),
        )

    def worth(self, tokens: VisualTokens, older: int) -> Tensor | None:
        """What is compared in the place of value norms, float32 `[layers, kv_heads, older]`, a
        tensor that may be written to; None: value norms."""
        return None


@dataclass(frozen=True)
class InfiniPotVReleased(InfiniPotV):
    """With the share of recent frames of the released code, twice that of the paper. Pseudo-frames
    of its kind (what is left of frames, taken for whole ones) are not made."""

    name: ClassVar[str] = "infinipot_v_released"

    recent_ratio: float = 0.25


def select(
    keys: Tensor,
    values: Tensor,
    patch_index: Tensor,
    recent_tokens: int,
    budget: int,
    tar_ratio: float = 0.5,
    norms: Tensor | None = None,
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

    `norms`, float32 `[layers, kv_heads, older]`, are compared in the place of value norms; they are
    written to.

    Raises ValueError where the shapes disagree or the numbers leave no room, saying which number
    to change.
    """
    _check(keys, values, patch_index, recent_tokens, budget, tar_ratio)
    layers, heads, tokens, _ = keys.shape
    older = tokens - recent_tokens
    by_value = _value_quota(budget, tar_ratio)
    by_tar = budget - by_value - recent_tokens
    patch_index = patch_index.int()
    kept = torch.empty(layers, heads, budget, dtype=torch.int64, device=keys.device)
    kept[..., budget - recent_tokens :] = torch.arange(older, tokens, device=keys.device)
    taken = largest(_novelty(keys, patch_index, older), by_tar)
    if norms is None:
        norms = value_norms(values[:, :, :older])
    taken |= largest(norms.masked_fill_(taken, -torch.inf), by_value)
    kept[..., : budget - recent_tokens] = taken.nonzero()[:, -1].view(layers, heads, -1)
    return kept


def _novelty(keys: Tensor, patch_index: Tensor, older: int) -> Tensor:
    """TaR scores `[layers, heads, older]`. `keys` `[layers, heads, tokens, head_dim]`,
    `patch_index` `[layers, heads, tokens]`, the same everywhere for the recent tokens.

    All heads at once in chunks that stay in a core's cache, for one large operation costs less
    than many small ones, above all where threads take turns to begin them.
    """
    layers, heads, _, head_dim = keys.shape
    patches = int(patch_index.max()) + 1
    means = _recent_means(keys[:, :, older:].float(), patch_index[0, 0, older:], patches)
    ends = layers * heads * patches
    first = torch.arange(0, ends, patches, dtype=torch.int32, device=keys.device)
    rows = patch_index[..., :older] + first.view(layers, heads, 1)
    scores = means.new_empty(layers, heads, older)
    step = max(1, min(older, _CHUNK // (layers * heads * head_dim)))
    scratch = means.new_empty(layers * heads * step, head_dim)
    for start in range(0, older, step):
        part = slice(start, min(start + step, older))
        past = keys[:, :, part].float()
        mean = scratch[: past.numel() // head_dim]
        torch.index_select(means, 0, rows[..., part].flatten(), out=mean)
        torch.sum(mean.view(past.shape).mul_(past), dim=-1, out=scores[..., part])
        scores[..., part] /= _length(past)
    return scores.neg_().nan_to_num_(nan=-2.0)  # a broken key is less novel than any other


def _recent_means(recent: Tensor, patch_index: Tensor, patches: int) -> Tensor:
    """The mean of the unit keys of each patch, `[layers * heads * patches, head_dim]`; 0 without
    any. `recent` `[layers, heads, tokens, head_dim]`, `patch_index` `[tokens]`."""
    layers, heads, tokens, head_dim = recent.shape
    if tokens == 0:
        return recent.new_zeros(layers * heads * patches, head_dim)
    order = patch_index.argsort(stable=True)
    count = torch.bincount(patch_index, minlength=patches)
    starts = count.cumsum(0) - count
    weights = 1 / (_length(recent) * count[patch_index])
    return torch.cat(
        [
            embedding_bag(order, keys, starts, mode="sum", per_sample_weights=weight)
            for layer, weight_by_head in zip(recent, weights[..., order], strict=True)
            for keys, weight in zip(layer, weight_by_head, strict=True)
        ]
    )


def _length(keys: Tensor) -> Tensor:
    norms: Tensor = torch.linalg.vector_norm(keys, dim=-1)
    return norms.clamp_min_(_TINY)


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
