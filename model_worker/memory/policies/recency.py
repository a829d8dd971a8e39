"""The control: a window of the newest tokens at the same budget."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from model_worker.memory.policies.base import CompressionPolicy


@dataclass(frozen=True)
class Recency(CompressionPolicy):
    """Keeps the newest `budget` tokens, whatever they show."""

    name: ClassVar[str] = "recency"

    def choose(
        self, keys: Tensor, values: Tensor, patch_index: Tensor, recent_tokens: int, budget: int
    ) -> Tensor:
        """See `CompressionPolicy.choose`."""
        layers, heads, tokens, _ = keys.shape
        newest = torch.arange(tokens - budget, tokens, device=keys.device)
        return newest.expand(layers, heads, budget)
