"""What policies share: scores of tokens, and the tokens with the largest."""

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model_worker.memory.policies.base import CompressionPolicy
from model_worker.memory.policies.tokens import VisualTokens


@dataclass(frozen=True)
class ScoringPolicy(CompressionPolicy):
    """Keeps the recent frames, and of the older tokens those with the largest scores."""

    @abstractmethod
    def score(self, tokens: VisualTokens, older: int) -> Tensor:
        """Scores `[layers, kv_heads, older]` of the first `older` tokens; a NaN is the least."""

    def choose(self, tokens: VisualTokens, recent_tokens: int, budget: int) -> Tensor:
        """See `CompressionPolicy.choose`."""
        return keep(self.score(tokens, len(tokens) - recent_tokens), recent_tokens, budget)


def keep(scores: Tensor, recent_tokens: int, budget: int) -> Tensor:
    """The tokens to keep, as `CompressionPolicy.choose`: the older ones with the largest of
    `scores` `[layers, kv_heads, older]`, the first among equals, and all recent ones."""
    layers, heads, older = scores.shape
    kept = torch.empty(layers, heads, budget, dtype=torch.int64, device=scores.device)
    kept[..., budget - recent_tokens :] = torch.arange(
        older, older + recent_tokens, device=scores.device
    )
    worth = torch.where(scores.isnan(), -torch.inf, scores)
    taken = largest(worth, budget - recent_tokens)
    kept[..., : budget - recent_tokens] = taken.nonzero()[:, -1].view(layers, heads, -1)
    return kept


def largest(scores: Tensor, count: int) -> Tensor:
    """A mask `[..., tokens]` of each head's `count` largest scores; the first among equals."""
    if count == 0:
        return torch.zeros_like(scores, dtype=torch.bool)
    smallest = _smallest_of_largest(scores, count)
    above, equal = scores.gt(smallest), scores.eq(smallest)
    room = count - above.sum(dim=-1, keepdim=True)
    return above | (equal & equal.cumsum(dim=-1).le(room))


def value_norms(values: Tensor) -> Tensor:
    """L2 norms `[..., tokens]` of values `[..., tokens, head_dim]`; -1 for one that is none."""
    norms: Tensor = torch.linalg.vector_norm(values, dim=-1, dtype=torch.float32)
    return norms.nan_to_num_(nan=-1.0, posinf=-1.0)


def unit(vectors: Tensor) -> Tensor:
    """Vectors `[..., dim]` of length 1, float32; 0 for one of length 0 or without a length."""
    vectors = vectors.float()
    length = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    sound = length.isfinite() & (length > 0)
    return torch.where(sound, vectors / length, 0.0)


def _smallest_of_largest(scores: Tensor, count: int) -> Tensor:
    """The `count`-th largest of each head, `[..., 1]`."""
    place = scores.shape[-1] - count
    if scores.device.type == "cpu":  # numpy's selection is vectorised, torch's is not
        ordered = np.partition(scores.numpy(), place, axis=-1)
        return torch.from_numpy(ordered[..., place : place + 1])
    return scores.kthvalue(place + 1, dim=-1, keepdim=True).values
