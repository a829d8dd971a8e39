"""No compression: what a bounded memory is measured against.

The session takes frames until its memory is full and then refuses more, so that it has to be opened
with a budget that holds the whole stream.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from model_worker.memory.policies.base import CompressionPolicy
from model_worker.memory.policies.tokens import VisualTokens


@dataclass(frozen=True)
class Full(CompressionPolicy):
    """Lets go of nothing."""

    name: ClassVar[str] = "full"
    drops: ClassVar[bool] = False

    def choose(self, tokens: VisualTokens, recent_tokens: int, budget: int) -> Tensor:
        """Raises RuntimeError: the session asks for no pass where `drops` is false."""
        raise RuntimeError("the policy 'full' drops nothing: raise budget_tokens")
