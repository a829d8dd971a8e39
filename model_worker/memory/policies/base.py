"""What a compression policy is. Shapes and meanings are said here and in `tokens`, once.

A policy knows tensors only: no model, no session, no clock. It keeps nothing between two calls:
what has to last is given to the tokens as `marks`, which the memory carries along with them and a
snapshot holds.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from model_worker.memory.policies.tokens import VisualTokens


@dataclass(frozen=True, eq=False)
class Merged:
    """What takes the place of kept tokens: `keys` and `values` `[n, head_dim]` and, where they are
    given, `marks` `[marks, n]`. `at`, int64 `[n]` each: layer, KV head, and place among the tokens
    kept; none twice. A key has to be turned to the position of the token whose place it takes,
    whose patch, time and position it has from then on."""

    at: tuple[Tensor, Tensor, Tensor]
    keys: Tensor
    values: Tensor
    marks: Tensor | None = None


@dataclass(frozen=True)
class CompressionPolicy(ABC):
    """Chooses which visual tokens a layer's KV heads keep.

    Parameters
    ----------
    recent_ratio
        The share of the frames that the memory's cap holds which counts as recent and is always
        kept whole; at least one frame is.
    """

    name: ClassVar[str]
    marks: ClassVar[int] = 0
    """How many numbers it gives each token, see `arrive`."""
    proxies: ClassVar[tuple[str, ...]] = ()
    """Questions that the model reads over the memory before a pass, so that `choose` is told how
    much they look at each token; "" is the chat template's own words between two turns. They never
    stay in memory."""
    whole: ClassVar[bool] = False
    """Whether `choose` has to see all layers at once; else a large memory comes layer by layer."""
    merges: ClassVar[bool] = False
    """Whether `merge` is to be asked."""
    drops: ClassVar[bool] = True
    """Whether it lets go of anything; else a memory that is full takes no more frames."""

    recent_ratio: float = 0.125

    def __post_init__(self) -> None:
        if not 0 <= self.recent_ratio <= 1:
            raise ValueError(f"recent_ratio must lie between 0 and 1, not {self.recent_ratio}")

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

    def arrive(self, tokens: VisualTokens, new: int) -> None:
        """The last `new` tokens have just come, whole frames in every layer and head: write their
        `tokens.marks`, all layers at once. The frame before them is whole, too, and its marks may
        be amended. The result does not depend on how many frames come together. Only where `marks`
        is not 0."""
        assert self.marks == 0, f"{self.name} gives marks and does not say which"

    @abstractmethod
    def choose(self, tokens: VisualTokens, recent_tokens: int, budget: int) -> Tensor:
        """The tokens to keep.

        Parameters
        ----------
        recent_tokens
            How many tokens at the end are the recent frames, complete in every layer and head; all
            of them have to be kept.
        budget
            How many tokens are kept.

        Returns
        -------
        `[layers, kv_heads, budget]`, int64, ascending along the last axis.
        """

    def merge(self, tokens: VisualTokens, kept: Tensor) -> Merged | None:
        """What is put in the place of some of the tokens `kept`, which `choose` gave for `tokens`.
        None: nothing."""
        return None
