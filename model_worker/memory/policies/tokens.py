"""What a compression policy is told of a memory: tensors, and how rotary positions turn keys."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Layout:
    """How the tokens of a frame lie: `rows` x `columns` patches are the picture's, row by row;
    patch indices behind them are text around it.

    `frequencies`: radians per position along time of each rotary pair, float32 `[head_dim / 2]`;
    `angles`: by how much each patch index is turned beside that, by axes other than time, float32
    `[patches, head_dim / 2]`. Text that moves along every axis has the angles of time alone.
    """

    rows: int
    columns: int
    frequencies: Tensor
    angles: Tensor

    @property
    def pictured(self) -> int:
        """How many patches are the picture's."""
        return self.rows * self.columns


@dataclass(frozen=True, eq=False)
class VisualTokens:
    """The visual tokens of a memory, of all layers of the model or of some that follow each other.

    `keys` and `values` are `[layers, kv_heads, tokens, head_dim]`; tokens stand in the order in
    which they were seen, the same number in every layer and head but not the same tokens. `patches`
    (index of the patch in its frame, int32), `times` (seconds, float64, the same for all tokens of
    a frame, or of a unit of two) and `positions` (rotary position along time, int32) are
    `[layers, kv_heads, tokens]`. Keys are rotated.

    `marks`: the numbers that the policy gave each token when it came, float32
    `[marks, layers, kv_heads, tokens]`. `attention`: how much the policy's proxy questions look at
    each token, float32 `[proxies, layers, kv_heads, tokens]`, see `CompressionPolicy.proxies`.
    `layout` is None where nothing is known of one. `first_layer`: which of the model's layers is
    the first here.
    """

    keys: Tensor
    values: Tensor
    patches: Tensor
    times: Tensor
    positions: Tensor
    marks: Tensor
    attention: Tensor
    layout: Layout | None = None
    first_layer: int = 0

    def __len__(self) -> int:
        return self.keys.shape[2]

    @property
    def known_layout(self) -> Layout:
        """`layout`, which a policy that asks for this needs."""
        assert self.layout is not None, "this policy needs a layout"
        return self.layout

    def layers(self, part: slice) -> "VisualTokens":
        """Those of some of the layers; views."""
        start, _, _ = part.indices(len(self.keys))
        return VisualTokens(
            self.keys[part],
            self.values[part],
            self.patches[part],
            self.times[part],
            self.positions[part],
            self.marks[:, part],
            self.attention[:, part],
            self.layout,
            self.first_layer + start,
        )

    def newest(self, count: int) -> "VisualTokens":
        """The last `count` tokens; views."""
        start = len(self) - count
        return VisualTokens(
            self.keys[:, :, start:],
            self.values[:, :, start:],
            self.patches[..., start:],
            self.times[..., start:],
            self.positions[..., start:],
            self.marks[..., start:],
            self.attention[..., start:],
            self.layout,
            self.first_layer,
        )

    def arriving(self, new: int) -> "VisualTokens":
        """The last `new` tokens, which have just come, after the frame before them, if there is
        one; views."""
        before = self.times[0, 0, : len(self) - new]
        return self.newest(new + int((before == before[-1:]).sum()))

    def frames(self) -> Tensor:
        """Which frame each token is of, int64 `[layers, kv_heads, tokens]`: 0 for the oldest that
        has a token in that layer and head, and so on."""
        ranks = self.times.new_zeros(self.times.shape, dtype=torch.int64)
        ranks[..., 1:] = (self.times[..., 1:] != self.times[..., :-1]).cumsum(-1)
        return ranks

    def turned(self) -> Tensor:
        """By how much each key is turned, float64 `[layers, kv_heads, tokens, head_dim / 2]`."""
        layout = self.known_layout
        along = (self.positions[..., None].float() * layout.frequencies).double()
        return along.add_(layout.angles[self.patches.long()])

    def still(self) -> Tensor:
        """The keys turned back, float32, as if all stood at one position."""
        cos, sin = self._turns()
        left, right = self.keys.float().chunk(2, dim=-1)
        turned = torch.empty(self.keys.shape, device=self.keys.device)
        back, up = turned.chunk(2, dim=-1)
        torch.mul(left, cos, out=back).addcmul_(right, sin)
        torch.mul(right, cos, out=up).addcmul_(left, sin, value=-1)
        return turned

    def _turns(self) -> tuple[Tensor, Tensor]:
        """Cosines and sines of `turned`, float32. Where one position is that of many keys, they
        come from a table, the very same numbers."""
        layout, positions = self.known_layout, self.positions
        first = int(positions.min())
        span = int(positions.max()) + 1 - first
        if span > positions.numel() or layout.angles.any():
            angles = self.turned()
            return angles.cos().float(), angles.sin().float()
        along = torch.arange(first, first + span, device=positions.device)
        angles = (along[:, None].float() * layout.frequencies).double()
        rows = (positions - first).flatten()
        shape = (*positions.shape, -1)
        return (
            angles.cos().float().index_select(0, rows).view(shape),
            angles.sin().float().index_select(0, rows).view(shape),
        )
