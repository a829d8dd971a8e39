"""What changes stays: this project's own policy.

A token is marked when it comes, by how much its key differs from the key of the same patch one
frame before, so that of a scene that stays the tokens of its first moment are kept and none of the
repetitions, however long it lasts and whatever came later. TaR (InfiniPot-V, arXiv 2506.15745,
section 3.2) compares old tokens with the newest frames alone: of a scene that has gone, every
repetition is as unlike those as the next, and all of them stay. A change of the ground touches
every patch alike; so tokens that differ from the rest of their own frame weigh a little more.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from model_worker.memory.policies.choosing import ScoringPolicy, unit
from model_worker.memory.policies.tokens import VisualTokens


@dataclass(frozen=True)
class Onset(ScoringPolicy):
    """Keeps the recent frames, and of the older tokens those that came with the greatest change.

    A token's mark is `(1 - cos(k, k before)) * (evenness + 1 - cos(k, mean k of its frame))`, of
    keys as if all stood at one position: the larger `evenness`, the less its own frame matters.
    """

    name: ClassVar[str] = "onset"
    marks: ClassVar[int] = 1

    evenness: float = 3.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.evenness >= 0:
            raise ValueError(f"evenness must be at least 0, not {self.evenness}")

    def arrive(self, tokens: VisualTokens, new: int) -> None:
        """See `CompressionPolicy.arrive`."""
        times = tokens.times[0, 0]
        before = times[times < times[-new]]
        earlier = int((before == before[-1]).sum()) if len(before) else 0
        window = tokens.newest(new + earlier)
        keys = unit(window.still())
        frame = window.frames()[0, 0]
        change = 1 - _likeness_to_frame_before(keys, frame, window.patches[0, 0].long())
        marks = change * (self.evenness + 1 - _likeness_to_own_frame(keys, frame))
        tokens.marks[0, ..., -new:] = marks[..., earlier:]

    def score(self, tokens: VisualTokens, older: int) -> Tensor:
        """See `ScoringPolicy.score`."""
        return tokens.marks[0, ..., :older]


def _likeness_to_frame_before(keys: Tensor, frame: Tensor, patches: Tensor) -> Tensor:
    """The cosine `[layers, kv_heads, tokens]` of each of `keys` `[layers, kv_heads, tokens,
    head_dim]` and that of the same patch in the frame before; 0 without one. `frame` and `patches`
    `[tokens]`."""
    count = len(frame)
    places = torch.full(
        (int(frame[-1]) + 2, int(patches.max()) + 1), count, device=frame.device, dtype=torch.long
    )
    places[frame + 1, patches] = torch.arange(count, device=frame.device)
    padded = torch.nn.functional.pad(keys, (0, 0, 0, 1))  # a key that is like no other
    return (keys * padded[:, :, places[frame, patches]]).sum(-1)


def _likeness_to_own_frame(keys: Tensor, frame: Tensor) -> Tensor:
    """The cosine `[layers, kv_heads, tokens]` of each key and the mean of its frame."""
    layers, heads, _, head_dim = keys.shape
    sums = keys.new_zeros(layers, heads, int(frame[-1]) + 1, head_dim)
    means = unit(sums.index_add_(2, frame, keys))
    return (keys * means[:, :, frame]).sum(-1)
