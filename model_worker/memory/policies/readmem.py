"""READMem's memory of diverse frames (Vujasinovic et al. 2023, arXiv 2305.12823, section 3).

A memory of so many frames as fit is to span the largest volume: a frame that comes takes the place
of another where the determinant of the Gram matrix of what frames look like grows by it. The first
frame is never replaced. It was made to track objects; here a frame looks as the mean of its keys in
one layer, turned back to one position, and each layer has its own frames, the same in all heads.
"""

from dataclasses import dataclass
from typing import ClassVar, Final

import torch
from torch import Tensor

from model_worker.memory.policies.base import CompressionPolicy
from model_worker.memory.policies.choosing import keep, unit
from model_worker.memory.policies.tokens import VisualTokens

_RIDGE: Final = 1e-4  # so that frames that are the same leave a volume to compare


@dataclass(frozen=True)
class ReadMem(CompressionPolicy):
    """Keeps whole frames that are least alike, and of the newest at least one. Where a part of the
    budget is too small for a frame, it goes to the newest others."""

    name: ClassVar[str] = "readmem"

    recent_ratio: float = 0.0

    def choose(self, tokens: VisualTokens, recent_tokens: int, budget: int) -> Tensor:
        """See `CompressionPolicy.choose`."""
        layers, heads, length = tokens.patches.shape
        older = length - recent_tokens
        rows = []
        for layer in range(layers):
            part = tokens.layers(slice(layer, layer + 1))
            frames = part.frames()[0, 0, :older]
            count = torch.bincount(frames)
            slots = max(1, (budget - recent_tokens) // int(count.max()))
            stays = torch.zeros(len(count), device=frames.device)
            stays[most_diverse(_looks(part, frames), min(slots, len(count)))] = 1.0
            newest = torch.linspace(0.0, 0.5, older, device=frames.device)
            rows.append(stays[frames] + newest)
        return keep(torch.stack(rows)[:, None].expand(layers, heads, older), recent_tokens, budget)


def most_diverse(looks: Tensor, slots: int) -> list[int]:
    """Which of the frames that look so, float32 `[frames, dim]` of length 1 and in the order in
    which they came, have the `slots` slots in the end."""
    gram = (looks @ looks.T).double()
    gram += _RIDGE * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    held = list(range(slots))
    if slots < 2:
        return held
    volume = torch.linalg.slogdet(gram[held][:, held]).logabsdet
    for frame in range(slots, len(looks)):
        tries = torch.tensor(held).repeat(slots - 1, 1)
        tries[torch.arange(slots - 1), torch.arange(1, slots)] = frame
        rows, columns = tries[:, :, None], tries[:, None, :]
        volumes = torch.linalg.slogdet(gram[rows, columns]).logabsdet
        best = int(volumes.argmax())
        if volumes[best] > volume:
            held, volume = tries[best].tolist(), volumes[best]
    return held


def _looks(tokens: VisualTokens, frames: Tensor) -> Tensor:
    """How each frame of one layer looks, float32 `[frames, kv_heads * head_dim]`; `frames`
    `[tokens]` says which each token is of."""
    keys = unit(tokens.still()[0, :, : len(frames)]).transpose(0, 1).flatten(1)
    sums = keys.new_zeros(int(frames.max()) + 1, keys.shape[1]).index_add_(0, frames, keys)
    return unit(sums)
