"""Small keys stay (QuickVideo, Schneider et al. 2025, arXiv 2505.16175, section on KV pruning).

There, each group of frames is pruned once, when it comes, and what it keeps stays for ever; here
all tokens compete in every pass, so that the memory stays within its budget. As there, a norm is
over all heads of a layer, which keep the same tokens. In models that normalise keys there is little
to compare.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from model_worker.memory.policies.choosing import ScoringPolicy
from model_worker.memory.policies.tokens import VisualTokens


@dataclass(frozen=True)
class KeyNorm(ScoringPolicy):
    """Keeps the older tokens with the smallest keys."""

    name: ClassVar[str] = "key_norm"

    def score(self, tokens: VisualTokens, older: int) -> Tensor:
        """See `ScoringPolicy.score`."""
        keys = tokens.keys[:, :, :older]
        by_head = torch.linalg.vector_norm(keys, dim=-1, dtype=torch.float32)
        norms: Tensor = torch.linalg.vector_norm(by_head, dim=1, keepdim=True)
        return norms.neg().expand_as(by_head)
