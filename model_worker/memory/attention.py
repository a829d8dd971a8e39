"""How much a few tokens look at each visual token of a memory, taken down during a forward."""

import torch
from torch import Tensor

from model_worker.memory.packed import PackedCache, Segment


class Witness(PackedCache):
    """A forward over one segment, which sees `visual` (first, end) of its extent among others.

    `attention`, float32 `[layers, kv_heads, visual tokens]`: after the pass, the mean over the rows
    from `first_row` on and over the query heads that share a KV head of the attention that each
    visual token got, as the layer itself divided it among all that it sees.
    """

    def __init__(self, segment: Segment, visual: tuple[int, int], first_row: int = 0) -> None:
        super().__init__([segment])
        first, end = visual
        layers, _, heads = self._buffer.shape[:3]
        self._visual = slice(first, end)
        self._rows = slice(first_row, None)
        self.attention = self._buffer.new_zeros((layers, heads, end - first), dtype=torch.float32)

    def attend(self, layer: int, query: Tensor, scaling: float) -> Tensor:
        """As `PackedCache.attend`, and takes down where it looks."""
        ((keys, _, mask),) = self.views
        seen = keys[layer][0].float()
        kv_heads, _, head_dim = seen.shape
        asking = query[0, :, self._rows].float().reshape(kv_heads, -1, head_dim)
        logits = asking @ seen.transpose(1, 2) * scaling
        if mask is not None:
            rows = mask[self._rows].float()
            logits += rows.repeat(logits.shape[1] // len(rows), 1)
        self.attention[layer] = logits.softmax(-1)[..., self._visual].mean(1)
        return super().attend(layer, query, scaling)
