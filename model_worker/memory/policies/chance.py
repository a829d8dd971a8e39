"""A control: chance.

Each token has a random number, and those with the largest stay, so that each token that was ever
seen is as likely to be there as any other (a reservoir by keys: Efraimidis and Spirakis 2006, with
equal weights). The number is a hash of the seed and of what the token is, and thus the same
whenever it is asked for.
"""

from dataclasses import dataclass
from typing import ClassVar, Final

import torch
from torch import Tensor

from model_worker.memory.policies.choosing import ScoringPolicy
from model_worker.memory.policies.tokens import VisualTokens

# The finaliser of SplitMix64 (Steele et al. 2014), whose numbers int64 holds as negative ones.
_GOLDEN: Final = 0x9E3779B97F4A7C15 - (1 << 64)
_FIRST: Final = 0xBF58476D1CE4E5B9 - (1 << 64)
_SECOND: Final = 0x94D049BB133111EB - (1 << 64)


@dataclass(frozen=True)
class Random(ScoringPolicy):
    """Keeps tokens by chance; of the newest frames at least one."""

    name: ClassVar[str] = "random"

    recent_ratio: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.seed != int(self.seed):
            raise ValueError(f"seed must be a whole number, not {self.seed}")

    def score(self, tokens: VisualTokens, older: int) -> Tensor:
        """See `ScoringPolicy.score`."""
        layers, heads = tokens.patches.shape[:2]
        device = tokens.patches.device
        layer = torch.arange(tokens.first_layer, tokens.first_layer + layers, device=device)
        head = torch.arange(heads, device=device)
        mixed = _mixed(_mixed(layer[:, None] + (int(self.seed) << 16)) + head)[..., None]
        mixed = _mixed(mixed + tokens.times[..., :older].contiguous().view(torch.int64))
        mixed = _mixed(mixed + tokens.patches[..., :older])
        return (mixed >> 11).double()


def _mixed(numbers: Tensor) -> Tensor:
    numbers = numbers + _GOLDEN
    numbers = (numbers ^ _shifted(numbers, 30)) * _FIRST
    numbers = (numbers ^ _shifted(numbers, 27)) * _SECOND
    return numbers ^ _shifted(numbers, 31)


def _shifted(numbers: Tensor, by: int) -> Tensor:
    """To the right, zeros before."""
    return (numbers >> by) & ((1 << (64 - by)) - 1)
