"""A memory as it is now, read layer by layer later, while the session goes on."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from model_worker.memory.cache import BoundedCache


@dataclass(frozen=True)
class LayerCopy:
    """What a layer kept, on the host: `keys` and `values` `[kv_heads, prefix + tokens, head_dim]`,
    `patches`, `times` and `positions` `[kv_heads, tokens]`, `marks` `[marks, kv_heads, tokens]`."""

    keys: Tensor
    values: Tensor
    patches: Tensor
    times: Tensor
    positions: Tensor
    marks: Tensor


class HeldMemory:
    """Prefix and visual tokens of one moment. What is appended behind them and the scratch region
    are not among them.

    A memory only grows between two compression passes, so layers are copied when they are read;
    before something overwrites them, or frees them, what was not read yet is copied at once.
    """

    def __init__(self, cache: "BoundedCache") -> None:
        self._cache: BoundedCache | None = cache
        self._end = cache.shape.prefix + cache.visual_length
        self._tokens = cache.visual_length
        self._layers = cache.shape.layers
        # Few numbers, and the only ones that frames which come later may change.
        self._marks = cache.marks[..., : self._tokens].to("cpu", copy=True)
        self._copies: dict[int, LayerCopy] = {}
        self._read = 0

    def next_layer(self) -> LayerCopy:
        """The layers, one after the other, each once."""
        assert self._read < self._layers, "a held memory is read once"
        layer, self._read = self._read, self._read + 1
        return self._copies.pop(layer) if self._cache is None else self._copy(layer)

    def detach(self) -> None:
        """Copy what was not read yet; from then on the memory is not looked at."""
        if self._cache is not None:
            self._copies = {at: self._copy(at) for at in range(self._read, self._layers)}
            self._cache = None

    def _copy(self, layer: int) -> LayerCopy:
        assert self._cache is not None
        cache, kept = self._cache, slice(0, self._tokens)
        keys, values = cache.buffer[layer, :, :, : self._end].to("cpu", copy=True)
        tracked = (cache.patches, cache.times, cache.positions)
        patches, times, positions = (each[layer, :, kept].to("cpu", copy=True) for each in tracked)
        return LayerCopy(keys, values, patches, times, positions, self._marks[:, layer])
