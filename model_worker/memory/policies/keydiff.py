"""Unusual keys stay (KeyDiff, Park et al. 2025, arXiv 2504.15364).

The anchor is the mean of all keys of a head, each of length 1, and tokens whose keys are least like
it are kept. Keys are compared as they stand, rotated.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from model_worker.memory.policies.choosing import ScoringPolicy, unit
from model_worker.memory.policies.tokens import VisualTokens


@dataclass(frozen=True)
class KeyDiff(ScoringPolicy):
    """Keeps the older tokens whose keys are least like the mean key of their head."""

    name: ClassVar[str] = "keydiff"

    def score(self, tokens: VisualTokens, older: int) -> Tensor:
        """See `ScoringPolicy.score`."""
        keys = unit(tokens.keys)
        anchor = keys.mean(dim=2, keepdim=True)
        likeness = (keys[:, :, :older] * anchor).sum(-1)
        broken = keys[:, :, :older].abs().amax(-1) == 0
        return likeness.neg_().masked_fill_(broken, float("-inf"))
