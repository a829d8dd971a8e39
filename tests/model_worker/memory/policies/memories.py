"""Visual tokens for the tests of policies."""

import torch
from torch import Tensor

from model_worker.memory.policies.base import CompressionPolicy, Merged
from model_worker.memory.policies.tokens import Layout, VisualTokens


def tokens_of(
    keys: Tensor,
    values: Tensor,
    patches: Tensor,
    *,
    frame: int | None = None,
    marks: int = 0,
    attention: Tensor | None = None,
    layout: Layout | None = None,
) -> VisualTokens:
    """Tokens `[layers, kv_heads, tokens, head_dim]` that came one frame of `frame` tokens a second;
    None: as many as there are patch indices. They stand one position after the other."""
    frame = frame or int(patches.max()) + 1
    places = torch.arange(keys.shape[2]).expand(patches.shape)
    return VisualTokens(
        keys=keys,
        values=values,
        patches=patches.int(),
        times=(places // frame).double(),
        positions=places.int(),
        marks=torch.zeros(marks, *patches.shape),
        attention=torch.zeros(0, *patches.shape) if attention is None else attention,
        layout=layout,
    )


def layout_of(rows: int, columns: int, head_dim: int = 8) -> Layout:
    """A grid in a model with one axis of positions."""
    frequencies = 1e-2 ** (torch.arange(head_dim // 2) * 2 / head_dim)
    angles = torch.zeros(rows * columns, head_dim // 2)
    return Layout(rows, columns, frequencies, angles)


def noise(
    policy: CompressionPolicy,
    frames: int = 8,
    rows: int = 2,
    columns: int = 3,
    layers: int = 2,
    heads: int = 3,
    seed: int = 0,
) -> VisualTokens:
    """Random tokens of `head_dim` 8 as `policy` wants them, its marks made frame by frame."""
    generator = torch.Generator().manual_seed(seed)
    patches = rows * columns
    count = frames * patches
    keys, values = torch.randn(2, layers, heads, count, 8, generator=generator)
    looks = torch.rand(len(policy.proxies), layers, heads, count, generator=generator) / count
    tokens = tokens_of(
        keys,
        values,
        torch.arange(patches).repeat(frames).expand(layers, heads, count),
        marks=policy.marks,
        attention=looks,
        layout=layout_of(rows, columns),
    )
    mark(policy, tokens, patches)
    return tokens


def mark(policy: CompressionPolicy, tokens: VisualTokens, frame: int) -> None:
    """Let `policy` mark tokens that come one frame of so many tokens at a time."""
    if policy.marks:
        for end in range(frame, len(tokens) + 1, frame):
            policy.arrive(first(tokens, end), frame)


def first(tokens: VisualTokens, end: int) -> VisualTokens:
    """The first `end` of the tokens, views."""
    return VisualTokens(
        keys=tokens.keys[:, :, :end],
        values=tokens.values[:, :, :end],
        patches=tokens.patches[..., :end],
        times=tokens.times[..., :end],
        positions=tokens.positions[..., :end],
        marks=tokens.marks[..., :end],
        attention=tokens.attention[..., :end],
        layout=tokens.layout,
    )


def after(tokens: VisualTokens, kept: Tensor, merged: Merged | None) -> tuple[Tensor, Tensor]:
    """Keys and values `[layers, kv_heads, budget, head_dim]` as they are in memory after a pass."""
    wide = kept[..., None].expand(*kept.shape, tokens.keys.shape[-1])
    keys, values = tokens.keys.gather(2, wide), tokens.values.gather(2, wide)
    if merged is not None:
        keys[merged.at], values[merged.at] = merged.keys, merged.values
    return keys, values
