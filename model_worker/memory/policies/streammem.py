"""StreamMem (Yang et al. 2025, arXiv 2508.15717): what the chat template's own words look at stays.

Before a pass the model reads what its template writes after a video without a question; in each
layer and head the tokens with the most attention stay. Of each frame that loses tokens, one becomes
its prototype: the mean of the whole frame, weighted by attention. Frames that are nearly as the one
before are averaged.

Here the prototype takes the place of the frame's most attended token, which has the largest weight
in it, and competes with the others from then on, so that the memory stays within its budget. Frames
are averaged in memory, in the pass in which they go, and not before the model sees them: an answer
may be asked for between any two frames. How alike two frames are is the mean cosine of their values
of the first layer, patch by patch, which are linear in the picture's embeddings.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from model_worker.memory.policies.base import Merged
from model_worker.memory.policies.choosing import ScoringPolicy, unit
from model_worker.memory.policies.folding import fold, joined
from model_worker.memory.policies.tokens import VisualTokens


@dataclass(frozen=True)
class StreamMem(ScoringPolicy):
    """`alike`: the cosine from which on two frames that follow each other are one.

    The mark is the number of the run of alike frames that a token is of.
    """

    name: ClassVar[str] = "streammem"
    marks: ClassVar[int] = 1
    proxies: ClassVar[tuple[str, ...]] = ("",)
    merges: ClassVar[bool] = True

    alike: float = 0.95

    def __post_init__(self) -> None:
        super().__post_init__()
        if not -1 <= self.alike <= 1:
            raise ValueError(f"alike must lie between -1 and 1, not {self.alike}")

    def arrive(self, tokens: VisualTokens, new: int) -> None:
        """See `CompressionPolicy.arrive`."""
        latest = tokens.arriving(new)
        numbers, frames = latest.marks[0, 0, 0], latest.layers(slice(1)).frames()[0, 0]
        patches, values = latest.patches[0, 0].long(), unit(latest.values[0])
        for frame in range(int(frames[-new]), int(frames[-1]) + 1):
            here = (frames == frame).nonzero()[:, 0]
            before = (frames == frame - 1).nonzero()[:, 0]
            if len(before) == 0:
                continue
            places = torch.full((int(patches.max()) + 1,), -1, device=patches.device)
            places[patches[before]] = before
            match = places[patches[here]]
            pairs = match >= 0
            cosine = (values[:, here[pairs]] * values[:, match[pairs]]).sum(-1).mean()
            other = float(not bool(cosine > self.alike))
            latest.marks[0, ..., here] = float(numbers[before[-1]]) + other

    def score(self, tokens: VisualTokens, older: int) -> Tensor:
        """See `ScoringPolicy.score`."""
        attention = tokens.attention[0, ..., :older].nan_to_num(nan=0.0, posinf=0.0)
        alone = self._first_of_run(tokens)[..., :older] == torch.arange(
            older, device=attention.device
        )
        top = _top_of_frame(tokens)[..., :older] == torch.arange(older, device=attention.device)
        # What repeats goes first, and what will be a prototype stays.
        return torch.where(top & alone, 2.0 + attention, torch.where(alone, attention, -1.0))

    def merge(self, tokens: VisualTokens, kept: Tensor) -> Merged | None:
        """See `CompressionPolicy.merge`."""
        here = torch.arange(len(tokens), device=kept.device).expand_as(tokens.patches)
        stays = torch.zeros_like(tokens.patches, dtype=torch.bool).scatter_(2, kept, True)
        run = self._first_of_run(tokens)
        repeats = ~stays & (run != here) & stays.gather(2, run)
        hosts = torch.zeros_like(here).scatter_add_(2, run, repeats.long()) > 0
        top = _top_of_frame(tokens)
        member = top >= 0
        lost = torch.zeros_like(here).scatter_add_(2, top.clamp_min(0), (~stays & member).long())
        prototype = (top == here) & (run == here) & stays & (lost > 0)
        members = torch.where(member & prototype.gather(2, top.clamp_min(0)), top, -1)
        joins = torch.where(repeats, run, torch.where(hosts, here, -1))
        joins = torch.where(prototype.gather(2, run), -1, joins)
        weights = tokens.attention[0].nan_to_num(nan=0.0, posinf=0.0).clamp_min(1e-12)
        return joined(
            fold(tokens, kept, members, weights),
            fold(tokens, kept, joins, torch.ones_like(weights)),
        )

    def _first_of_run(self, tokens: VisualTokens) -> Tensor:
        """For each token the first of the same patch in the same run of alike frames."""
        patches = int(tokens.patches.max()) + 1
        groups = tokens.marks[0].long() * patches + tokens.patches
        ordered, order = groups.sort(dim=-1, stable=True)
        fresh = torch.ones_like(ordered, dtype=torch.bool)
        fresh[..., 1:] = ordered[..., 1:] != ordered[..., :-1]
        here = torch.arange(len(tokens), device=groups.device).expand_as(groups)
        start = torch.where(fresh, here, 0).cummax(-1).values
        return torch.empty_like(order).scatter_(2, order, order.gather(2, start))


def _top_of_frame(tokens: VisualTokens) -> Tensor:
    """For each token the most attended of its frame, -1 in frames that have lost any before."""
    frames = tokens.frames()
    attention = tokens.attention[0].nan_to_num(nan=0.0, posinf=0.0)
    pictured = tokens.known_layout.pictured
    seen = (tokens.patches < pictured).long()
    count = torch.zeros_like(frames).scatter_add_(2, frames, seen)
    greatest = torch.full_like(attention, -1.0).scatter_reduce_(2, frames, attention, "amax")
    here = torch.arange(len(tokens), device=frames.device).expand_as(frames)
    best = torch.where(attention == greatest.gather(2, frames), here, len(tokens))
    top = torch.full_like(frames, len(tokens)).scatter_reduce_(2, frames, best, "amin")
    whole = count.gather(2, frames) == pictured
    return torch.where(whole, top.gather(2, frames), -1)
