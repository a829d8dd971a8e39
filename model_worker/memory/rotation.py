"""Positions made compact again, so that a stream has no end.

Keys stay rotated in the cache (RoPE, Su et al. 2021, arXiv 2104.09864). Rotations add up, so a
key moves from one position to another by rotating it by the difference.
"""

import torch
from torch import Tensor


def rotate(keys: Tensor, old: Tensor, new: Tensor, frequencies: Tensor) -> Tensor:
    """Keys that were rotated for positions `old` as if they had been rotated for `new`.

    `keys` `[..., tokens, head_dim]` with rotary pairs `(i, i + head_dim / 2)`; `old` and `new`
    `[..., tokens]`; `frequencies` `[head_dim / 2]`, float32 radians per position. The two angles
    are rounded to float32 as the model rounds them, so that at far positions, where that rounding
    is coarse, its error does not stay in the key.
    """
    by = (new[..., None].float() * frequencies).double()
    by -= (old[..., None].float() * frequencies).double()
    return turn(keys, by)


def turn(keys: Tensor, angles: Tensor) -> Tensor:
    """`keys` `[..., tokens, head_dim]` turned by `angles` in radians, `[..., head_dim / 2]`."""
    cos, sin = angles.cos().float(), angles.sin().float()
    first, second = keys.float().chunk(2, dim=-1)
    turned = torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
    return turned.to(keys.dtype)


def compact(
    times: Tensor, patches: Tensor, tokens_per_frame: int, stride: int, start: int, span: int
) -> tuple[Tensor, int]:
    """New positions along time, without the gaps that evicted frames left.

    `times` and `patches` are `[layers, kv_heads, tokens]`, times ascending. Per layer and head the
    frames that still have a token take one slot each, in order, and a token stays at its place in
    its slot. A slot is `stride` positions wide, less where that many frames would not fit between
    `start` and `start + span`. All heads end at the same position, so that the next frame follows
    the newest one everywhere.

    Returns the positions (int32, as `times`) and the first free position after them.
    """
    changes = times[..., 1:] != times[..., :-1]
    ranks = torch.nn.functional.pad(changes.cumsum(-1), (1, 0))
    frames = ranks[..., -1:] + 1
    most = int(frames.max())
    width = max(1, min(stride, span // most))
    end = start + most * width
    within = patches.long() * width // tokens_per_frame if stride > 1 else 0
    return (end - (frames - ranks) * width + within).int(), end
