"""The second half of InfiniPot-V alone (arXiv 2506.15745, section 3.3): VaN, and VaN reversed.

Which of the two keeps more depends on the model: `lookback bench policy-check` says so.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from model_worker.memory.policies.choosing import ScoringPolicy, value_norms
from model_worker.memory.policies.tokens import VisualTokens


@dataclass(frozen=True)
class VaN(ScoringPolicy):
    """Keeps the older tokens with the largest values."""

    name: ClassVar[str] = "van"

    def score(self, tokens: VisualTokens, older: int) -> Tensor:
        """See `ScoringPolicy.score`."""
        return value_norms(tokens.values[:, :, :older])


@dataclass(frozen=True)
class ReversedVaN(ScoringPolicy):
    """Keeps the older tokens with the smallest values."""

    name: ClassVar[str] = "reversed_van"

    def score(self, tokens: VisualTokens, older: int) -> Tensor:
        """See `ScoringPolicy.score`."""
        norms = value_norms(tokens.values[:, :, :older])
        return norms.neg_().masked_fill_(norms > 0, float("-inf"))  # what is no number goes first
