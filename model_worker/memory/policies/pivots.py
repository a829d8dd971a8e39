"""ReTaKe's pivots (Wang et al. 2024, arXiv 2412.20504, DPSelect) as a bonus for InfiniPot-V.

A patch of a frame is a pivot where it differs from the same patch a frame before, and by no less
than the frames beside it do: a local maximum of the distance between frames. ReTaKe never drops
pivots, which no fixed budget can promise; here those with the largest distances come before all
others in the half of the budget that value norms fill.

ReTaKe compares features of the vision tower; here it is values of the first layer, which are linear
in the picture's embeddings. The frame after decides whether one is a maximum, so that the newest
counts as one until then.
"""

from dataclasses import dataclass
from typing import ClassVar, Final

import torch
from torch import Tensor

from model_worker.memory.policies.choosing import largest, unit, value_norms
from model_worker.memory.policies.infinipot_v import InfiniPotV
from model_worker.memory.policies.tokens import VisualTokens

_DISTANCE: Final = 0
_PIVOT: Final = 1


@dataclass(frozen=True)
class Pivots(InfiniPotV):
    """`pivot_ratio`: the share of all tokens that may count as pivots.

    The marks are the distance to the frame before, and 1 for a pivot.
    """

    name: ClassVar[str] = "pivots"
    marks: ClassVar[int] = 2

    pivot_ratio: float = 0.25

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.pivot_ratio <= 1:
            raise ValueError(f"pivot_ratio must lie between 0 and 1, not {self.pivot_ratio}")

    def arrive(self, tokens: VisualTokens, new: int) -> None:
        """See `CompressionPolicy.arrive`."""
        latest = tokens.arriving(new)
        frames, patches = latest.layers(slice(1)).frames()[0, 0], latest.patches[0, 0].long()
        looks = unit(latest.values[0].transpose(0, 1).flatten(1))
        count = int(patches.max()) + 1
        for frame in range(int(frames[-new]), int(frames[-1]) + 1):
            here = (frames == frame).nonzero()[:, 0]
            before = (frames == frame - 1).nonzero()[:, 0]
            places = torch.full((count,), -1, device=patches.device)
            places[patches[before]] = before
            match = places[patches[here]]
            now, then = here[match >= 0], match[match >= 0]
            away = 1 - (looks[now] * looks[then]).sum(-1)
            past = latest.marks[_DISTANCE, 0, 0, then]
            latest.marks[_DISTANCE, ..., now] = away
            latest.marks[_PIVOT, ..., now] = (away >= past).float()
            # Marks are the same in every layer and head, and frames that came last are whole.
            latest.marks[_PIVOT, ..., then] *= (past > away).float()

    def worth(self, tokens: VisualTokens, older: int) -> Tensor | None:
        """See `InfiniPotV.worth`."""
        norms = value_norms(tokens.values[:, :, :older])
        distance, pivot = tokens.marks[..., :older]
        sudden = distance * pivot
        room = min(round(self.pivot_ratio * len(tokens)), older)
        return norms.masked_fill_(largest(sudden, room) & (sudden > 0), torch.inf)
