"""Training as if the memory were bounded: tokens that later ones and the questions cannot see.

A model that always saw everything leans on tokens that a bounded memory will have evicted. Here
each token of a clip has a lifetime; those of the object live longer, as under any policy worth
its name. No policy is imitated: which tokens go is random.
"""

import torch
from torch import Tensor

from training.checkpoint import TOKENS_PER_FRAME

RECENT = 4  # frames that are always whole
SPREAD = 12  # frames over which evictions are spread


def lifetimes(cells: Tensor, keep: float) -> Tensor:
    """The frame from which on each token is gone, or a frame that never comes: [B, 9 T].

    `cells` [B, T] is the object's cell in each frame (-1: none); `keep` the share of the ground's
    tokens that stay for good. The object's tokens stay twice as often.
    """
    size, frames = cells.shape
    own = torch.arange(TOKENS_PER_FRAME) == cells[..., None]
    stays = torch.rand(size, frames, TOKENS_PER_FRAME) < torch.where(own, min(1.0, 2 * keep), keep)
    seen = torch.arange(frames)[:, None]
    ends = seen + RECENT + torch.randint(1, SPREAD + 1, (size, frames, TOKENS_PER_FRAME))
    return torch.where(stays, torch.iinfo(torch.int64).max, ends).flatten(1)


def forget(mask: Tensor, ends: Tensor, prefix: int, frames: int) -> Tensor:
    """`mask` [1, 1, N, N] without the tokens that are gone when a query comes: [B, 1, N, N].

    Queries after the video come when all `frames` have been seen.
    """
    n, seen = mask.shape[-1], ends.shape[1]
    now = torch.full((n,), frames)
    now[:prefix] = 0
    now[prefix : prefix + seen] = torch.arange(frames).repeat_interleave(TOKENS_PER_FRAME)
    alive = torch.ones(len(ends), n, n, dtype=torch.bool)
    alive[:, :, prefix : prefix + seen] = ends[:, None, :] > now[None, :, None]
    return mask & alive[:, None]
