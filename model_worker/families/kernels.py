"""The same arithmetic in fewer steps: what `transformers` computes the long way round.

Applied to a model once it is loaded; each change leaves weights and results as they are.
"""

from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

# A tower gives an attention function all frames at once if its name says that it is of flash
# attention's kind, and one frame after the other if not.
FRAMES: Final = "lookback_flash_frames"


def quicken(model: nn.Module) -> None:
    """Patch embeddings become matrix products, and towers whose attention would take one frame
    after the other take all at once."""
    for module in model.modules():
        if type(module) is nn.Conv2d and _is_patches(module):
            module.__class__ = _Patches2d
        elif type(module) is nn.Conv3d and _is_patches(module):
            module.__class__ = _Patches3d
    tower: Any = getattr(getattr(model, "model", None), "visual", None)
    if tower is not None and tower.config._attn_implementation == "sdpa":
        tower.config._attn_implementation = FRAMES


def _is_patches(module: nn.Conv2d | nn.Conv3d) -> bool:
    """Whether what it sees does not overlap."""
    return (
        module.stride == module.kernel_size
        and set(module.dilation) == {1}
        and module.groups == 1
        and (module.padding == "valid" or set(module.padding) == {0})
    )


class _Patches2d(nn.Conv2d):
    """`[frames, colours, height, width]` to `[frames, hidden, rows, columns]`."""

    def forward(self, pixels: Tensor) -> Tensor:
        frames, colours, height, width = pixels.shape
        high, wide = self.kernel_size
        rows, columns = height // high, width // wide
        if (rows * high, columns * wide) != (height, width):
            pixels = pixels[:, :, : rows * high, : columns * wide]
        patches = pixels.reshape(frames, colours, rows, high, columns, wide)
        patches = patches.permute(0, 2, 4, 1, 3, 5).flatten(3)
        return linear(patches, self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)


class _Patches3d(nn.Conv3d):
    """`[patches, colours, frames, height, width]` to `[patches, hidden, 1, 1, 1]`."""

    def forward(self, pixels: Tensor) -> Tensor:
        if pixels.shape[2:] != self.kernel_size:
            return super().forward(pixels)
        patches = linear(pixels.flatten(1), self.weight.flatten(1), self.bias)
        return patches[..., None, None, None]


def attend_by_frame(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    cu_seq_lens_q: Tensor | None = None,
    max_length_q: int | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """An attention function of `transformers` for towers: `[1, heads, tokens, head_dim]`, where
    each stretch between two of `cu_seq_lens_q` sees itself, to `[1, tokens, heads, head_dim]`.

    Stretches of one length, none longer than `max_length_q`, are a batch.
    """
    if cu_seq_lens_q is None or max_length_q is None:
        output, _ = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **kwargs
        )
        return output, None
    _, heads, tokens, head_dim = query.shape
    count = len(cu_seq_lens_q) - 1
    if count * int(max_length_q) == tokens:
        batch = [
            each.view(heads, count, -1, head_dim).transpose(0, 1) for each in (query, key, value)
        ]
        stretches = [batch]
    else:
        lengths = cu_seq_lens_q.diff().tolist()
        split = [torch.split(each, lengths, dim=2) for each in (query, key, value)]
        stretches = [list(each) for each in zip(*split, strict=True)]
    parts = [
        scaled_dot_product_attention(queries, keys, values, scale=scaling)
        for queries, keys, values in stretches
    ]
    outputs = [each.transpose(1, 2).reshape(1, -1, heads, head_dim) for each in parts]
    return (outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1)), None


AttentionInterface.register(FRAMES, attend_by_frame)
