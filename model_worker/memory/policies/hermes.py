"""HERMES (arXiv 2601.14724): what is kept depends on the depth of a layer.

Shallow layers keep what is new. Deep ones keep what a question about the whole stream looks at, and
fold what they let go of into one summary token. Those between weigh both, the attention more with
depth. Scores are then smoothed from each layer to the one before, and all heads of a layer keep the
same tokens.

Scores of two layers are matched token by token, for layers keep different ones; a token that the
deeper layer has not keeps its own. Positions are the session's affair: HERMES goes with positions
"compact".
"""

from dataclasses import dataclass
from typing import ClassVar, Final

import torch
from torch import Tensor

from model_worker.memory.policies.base import Merged
from model_worker.memory.policies.choosing import ScoringPolicy
from model_worker.memory.policies.folding import fold
from model_worker.memory.policies.tokens import VisualTokens

_SHALLOW, _DEEP = 0.1, 0.3  # shares of the layers
_SMOOTHING: Final = {"shallow": 0.1, "middle": 0.3, "deep": 0.4}
_NEW_WEIGHT: Final = (0.75, 0.15)  # of age, in the first and the last layer between
_FORGETTING: Final = 5.0  # over the span of the memory, in powers of e


@dataclass(frozen=True)
class Hermes(ScoringPolicy):
    """The mark is how many tokens have been folded into each: 1, but for a summary."""

    name: ClassVar[str] = "hermes"
    marks: ClassVar[int] = 1
    proxies: ClassVar[tuple[str, ...]] = (
        "What is happening now?",
        "Summarize everything that has happened in this video.",
    )
    whole: ClassVar[bool] = True
    merges: ClassVar[bool] = True

    def arrive(self, tokens: VisualTokens, new: int) -> None:
        """See `CompressionPolicy.arrive`."""
        tokens.marks[0, ..., -new:] = 1.0

    def score(self, tokens: VisualTokens, older: int) -> Tensor:
        """See `ScoringPolicy.score`."""
        layers, heads, length = tokens.patches.shape
        local, summing = tokens.attention.nan_to_num(nan=0.0, posinf=0.0).mean(2)
        age = torch.linspace(1.0, 0.0, length, device=local.device)
        new = _evened((-_FORGETTING * age).exp())
        scores = torch.empty_like(local)
        kinds = depths(layers)
        between = [layer for layer, kind in enumerate(kinds) if kind == "middle"]
        for layer, kind in enumerate(kinds):
            if kind == "shallow":
                scores[layer] = new
            elif kind == "deep":
                scores[layer] = _evened(summing[layer])
            else:
                along = between.index(layer) / max(1, len(between) - 1)
                weight = _NEW_WEIGHT[0] + along * (_NEW_WEIGHT[1] - _NEW_WEIGHT[0])
                looked_at = _evened(local[layer] + summing[layer])
                scores[layer] = weight * new + (1 - weight) * looked_at
        self._smooth(tokens, scores, kinds)
        summaries = tokens.marks[0, :, 0] > 1
        scores = torch.where(summaries, torch.inf, scores)
        return scores[:, None, :older].expand(layers, heads, older)

    def _smooth(self, tokens: VisualTokens, scores: Tensor, kinds: list[str]) -> None:
        """From the last layer to the first, in place."""
        patches = int(tokens.patches.max()) + 1
        _, frames = torch.unique(tokens.times[:, 0], return_inverse=True)
        names = frames * patches + tokens.patches[:, 0]
        for layer in range(len(kinds) - 2, -1, -1):
            deeper, order = names[layer + 1].sort()
            place = torch.searchsorted(deeper, names[layer]).clamp_max(len(deeper) - 1)
            there = deeper[place] == names[layer]
            theirs = torch.where(there, scores[layer + 1][order[place]], scores[layer])
            share = _SMOOTHING[kinds[layer]]
            scores[layer] = (1 - share) * scores[layer] + share * theirs

    def merge(self, tokens: VisualTokens, kept: Tensor) -> Merged | None:
        """See `CompressionPolicy.merge`. The oldest token kept is the place of a summary."""
        first = depths(len(tokens.keys)).index("deep")
        deep = tokens.layers(slice(first, None))
        keep = kept[first:]
        stays = torch.zeros_like(deep.patches, dtype=torch.bool).scatter_(2, keep, True)
        summed = (deep.marks[0] > 1) & stays
        oldest = keep[..., :1]
        place = torch.where(
            summed.any(-1, keepdim=True), summed.int().argmax(-1, keepdim=True), oldest
        )
        here = torch.arange(len(tokens), device=kept.device)
        into = torch.where(~stays | (here == place), place.expand_as(stays), -1)
        summary = fold(deep, keep, into, deep.marks[0])
        counts = torch.where(into >= 0, deep.marks[0], 0.0).sum(-1)
        layer, head, slot = summary.at
        return Merged(
            (layer + first, head, slot),
            summary.keys,
            summary.values,
            counts[layer, head][None],
        )


def depths(layers: int) -> list[str]:
    """What each layer is: "shallow", "middle" or "deep"; there is a deep one, and a shallow one
    where there are two."""
    deep = max(1, round(_DEEP * layers))
    shallow = min(layers - deep, max(1, round(_SHALLOW * layers)))
    return ["shallow"] * shallow + ["middle"] * (layers - shallow - deep) + ["deep"] * deep


def _evened(scores: Tensor) -> Tensor:
    """From 0 to 1."""
    least, most = scores.aminmax()
    return (scores - least) / (most - least).clamp_min(1e-12)
