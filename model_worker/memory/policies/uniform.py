"""A control: frames at an even distance over all that was ever seen.

Sampling n frames evenly needs to know how long a stream is. Here frame number n has the rank of its
binary digits read backwards (van der Corput's sequence), and those of the lowest ranks stay: as a
stream grows, every second frame that is kept goes, one after the other, as far from each other as
can be.
"""

from dataclasses import dataclass
from typing import ClassVar, Final

import torch
from torch import Tensor

from model_worker.memory.policies.choosing import ScoringPolicy
from model_worker.memory.policies.tokens import VisualTokens

_DIGITS: Final = 24  # what a float32 mark counts exactly


@dataclass(frozen=True)
class Uniform(ScoringPolicy):
    """Keeps whole frames, evenly; of the newest at least one. The mark is the frame's number."""

    name: ClassVar[str] = "uniform"
    marks: ClassVar[int] = 1

    recent_ratio: float = 0.0

    def arrive(self, tokens: VisualTokens, new: int) -> None:
        """See `CompressionPolicy.arrive`."""
        latest = tokens.arriving(new)
        frames = latest.layers(slice(1)).frames()[0, 0, -new:]
        before = int(latest.marks[0, 0, 0, 0]) % (1 << _DIGITS)
        tokens.marks[0, ..., -new:] = ((before + frames) % (1 << _DIGITS)).float()

    def score(self, tokens: VisualTokens, older: int) -> Tensor:
        """See `ScoringPolicy.score`."""
        numbers = tokens.marks[0, :1, :1, :older].long()
        ranks = torch.zeros_like(numbers)
        for digit in range(_DIGITS):
            ranks |= ((numbers >> digit) & 1) << (_DIGITS - 1 - digit)
        layers, heads = tokens.patches.shape[:2]
        return -ranks.float().expand(layers, heads, older)
