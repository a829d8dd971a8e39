"""What a compression policy is. Shapes and meanings are said here, once.

A policy knows tensors only: no model, no session, no clock.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor


@dataclass(frozen=True)
class CompressionPolicy(ABC):
    """Chooses which visual tokens a layer's KV heads keep.

    Parameters
    ----------
    recent_ratio
        The share of the frames that the memory's cap holds which counts as recent and is always
        kept whole.
    """

    name: ClassVar[str]

    recent_ratio: float = 0.125

    def recent_frames(self, cap_tokens: int, budget: int, tokens_per_frame: int) -> int:
        """How many of the newest frames a pass keeps whole; at least one.

        Raises ValueError where even one frame is too many for `budget`.
        """
        most = self.most_recent_tokens(budget) // tokens_per_frame
        if most < 1:
            raise ValueError(
                f"a budget of {budget} tokens cannot keep one recent frame of {tokens_per_frame} "
                f"tokens under the policy {self.name!r}: raise budget_tokens"
            )
        return max(1, min(most, round(self.recent_ratio * (cap_tokens // tokens_per_frame))))

    def most_recent_tokens(self, budget: int) -> int:
        """The largest `recent_tokens` that `choose` takes at this budget."""
        return budget

    @abstractmethod
    def choose(
        self, keys: Tensor, values: Tensor, patch_index: Tensor, recent_tokens: int, budget: int
    ) -> Tensor:
        """The tokens to keep.

        Parameters
        ----------
        keys, values
            `[layers, kv_heads, tokens, head_dim]`; tokens stand in the order in which they were
            seen, the same number in every layer and head but not the same tokens.
        patch_index
            `[layers, kv_heads, tokens]`, integer: which patch of its frame each token is.
        recent_tokens
            How many tokens at the end are the recent frames, complete in every layer and head; all
            of them have to be kept.
        budget
            How many tokens are kept.

        Returns
        -------
        `[layers, kv_heads, budget]`, int64, ascending along the last axis.
        """
