"""InfiniPot-V with value norms that are smoothed over the picture (arXiv 2506.15745, section 3.3).

The paper takes the mean over k x k patches, k = 7, 5, 3 or 1, the larger the less the norms of a
layer differ (their coefficient of variation), by three thresholds for each model that it does not
print. Here the layers are put in order and cut in four. It is done once, when a frame comes and its
grid is whole; survivors of a pass have no neighbours. The released code has it switched off, and
after its first pass smooths over rows of survivors.
"""

from dataclasses import dataclass
from typing import ClassVar, Final

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from model_worker.memory.policies.choosing import value_norms
from model_worker.memory.policies.infinipot_v import InfiniPotV
from model_worker.memory.policies.tokens import VisualTokens

_SIDES: Final = (7, 5, 3, 1)


@dataclass(frozen=True)
class InfiniPotVPooled(InfiniPotV):
    """The mark is the smoothed norm, of text around a picture the norm itself."""

    name: ClassVar[str] = "infinipot_v_pooled"
    marks: ClassVar[int] = 1

    def arrive(self, tokens: VisualTokens, new: int) -> None:
        """See `CompressionPolicy.arrive`."""
        layout = tokens.known_layout
        norms = value_norms(tokens.values[:, :, -new:])
        pictured = tokens.patches[0, 0, -new:] < layout.pictured
        layers, heads = norms.shape[:2]
        grids = norms[..., pictured].view(layers, heads, -1, layout.rows, layout.columns)
        norms[..., pictured] = smoothed(grids).flatten(2)
        tokens.marks[0, ..., -new:] = norms

    def worth(self, tokens: VisualTokens, older: int) -> Tensor | None:
        """See `InfiniPotV.worth`."""
        return tokens.marks[0, ..., :older].clone()


def smoothed(norms: Tensor) -> Tensor:
    """Norms `[layers, kv_heads, frames, rows, columns]`, of each frame and layer as is fit."""
    layers = len(norms)
    by_layer = norms.transpose(1, 2).flatten(2)  # layers, frames, all of a frame
    spread = by_layer.std(-1, correction=0) / by_layer.mean(-1).clamp_min(1e-9)
    quarter = spread.argsort(0).argsort(0) * len(_SIDES) // layers
    pooled = norms.clone()
    for number, side in enumerate(_SIDES):
        wide = avg_pool2d(
            norms.flatten(0, 2)[:, None], side, 1, side // 2, count_include_pad=False
        ).view(norms.shape)
        pooled = torch.where((quarter == number)[:, None, :, None, None], wide, pooled)
    return pooled
