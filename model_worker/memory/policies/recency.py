"""The control: a window of the newest tokens at the same budget."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from model_worker.memory.policies.base import CompressionPolicy
from model_worker.memory.policies.tokens import VisualTokens


@dataclass(frozen=True)
class Recency(CompressionPolicy):
    """Keeps the newest `budget` tokens, whatever they show."""

    name: ClassVar[str] = "recency"

    def choose(self, tokens: VisualTokens, recent_tokens: int, budget: int) -> Tensor:
        """See `CompressionPolicy.choose`."""
        layers, heads, length, _ = tokens.keys.shape
        newest = torch.arange(length - budget, length, device=tokens.keys.device)
        return newest.expand(layers, heads, budget)
