"""What memory does not hold yet stays: this project's own policy.

A token is marked when it comes, by how much its key differs from every key that memory holds of the
frames of late, whatever their patches. Of a scene that stays the tokens of its first moment are
kept and none of the repetitions, however long it lasts and whatever comes later; neither a light
that flickers nor a camera that swings makes anything new, but what comes back after some minutes
does. TaR (InfiniPot-V, arXiv 2506.15745, section 3.2) compares old tokens with the newest frames
alone: of a scene that has gone, every repetition is as unlike those as the next, and all of them
stay. A new ground is new in every patch alike; so tokens that differ from the rest of their own
frame weigh a little more. Marks of the oldest tokens count less and less, or those of an endless
stream's first hours would leave no room for its last minutes.

The likenesses of a frame's keys with all of memory are as many multiplications as one head's scores
in that frame's own attention.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from model_worker.memory.policies.choosing import ScoringPolicy, unit
from model_worker.memory.policies.tokens import VisualTokens

_LARGEST = 1 << 24  # likenesses that stand in memory at once
_TINY = 1e-9  # a zero key is like no other


@dataclass(frozen=True)
class Novelty(ScoringPolicy):
    """Keeps the recent frames, and of the older tokens those that were newest when they came.

    A token's mark is `(1 - max cos(k, k held)) * (evenness + 1 - cos(k, mean k of its frame))`, of
    keys as if all stood at one position: the larger `evenness`, the less its own frame matters.
    Keys held are those of the last `horizon` seconds. In a pass, the mark of the n-th of N older
    tokens counts `(n / N) ** fading`.
    """

    name: ClassVar[str] = "novelty"
    marks: ClassVar[int] = 1

    evenness: float = 3.0
    horizon: float = 120.0
    fading: float = 0.15

    def __post_init__(self) -> None:
        super().__post_init__()
        for setting in ("evenness", "horizon", "fading"):
            if not 0 <= getattr(self, setting) < float("inf"):
                raise ValueError(f"{setting} must be a number from 0, not {getattr(self, setting)}")

    def arrive(self, tokens: VisualTokens, new: int) -> None:
        """See `CompressionPolicy.arrive`."""
        times = tokens.times[0, 0, -new:]  # of whole frames, and so the same everywhere
        _, lengths = torch.unique_consecutive(times, return_counts=True)
        count = new
        if len(tokens) > new:
            forgotten = tokens.times[..., :-new] < times[0] - self.horizon
            count = len(tokens) - int(forgotten.sum(-1).min())
        late = tokens.newest(count)
        keys = late.still().nan_to_num_(0.0, 0.0, 0.0)
        # Likenesses are divided by a length where keys would be: they are fewer.
        length = torch.linalg.vector_norm(keys, dim=-1).clamp_min_(_TINY)
        end = count - new
        for each in lengths.tolist():
            begin, end = end, end + each
            frame = keys[:, :, begin:end] / length[:, :, begin:end, None]
            own = (frame * unit(frame.mean(2, keepdim=True))).sum(-1)
            forgotten = late.times[..., :begin] < late.times[0, 0, begin] - self.horizon
            likest = _likest(frame, keys[:, :, :begin], length[:, :, :begin], forgotten)
            late.marks[0, ..., begin:end] = (1 - likest) * (self.evenness + 1 - own)

    def score(self, tokens: VisualTokens, older: int) -> Tensor:
        """See `ScoringPolicy.score`."""
        rank = torch.arange(1, older + 1, device=tokens.marks.device) / max(older, 1)
        return tokens.marks[0, ..., :older] * rank**self.fading


def _likest(frame: Tensor, held: Tensor, length: Tensor, forgotten: Tensor) -> Tensor:
    """The largest cosine of each key of a frame and one that is held, `[layers, kv_heads, new]`; 0
    where none is above. `frame` `[layers, kv_heads, new, head_dim]` of length 1, `held` `[layers,
    kv_heads, tokens, head_dim]` of `length` `[layers, kv_heads, tokens]`, without those
    `forgotten`."""
    likest = frame.new_zeros(frame.shape[:3])
    if held.shape[2]:
        step = max(1, _LARGEST // (length[0].numel() * frame.shape[2]))
        for first in range(0, len(frame), step):
            part = slice(first, first + step)
            products = frame[part] @ held[part].transpose(2, 3)
            products.div_(length[part, :, None])
            likest[part] = products.masked_fill_(forgotten[part, :, None], 0.0).amax(-1)
    return likest.clamp_min_(0.0)
