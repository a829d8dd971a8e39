"""What a session knows beside the tensors of its memory."""

from dataclasses import dataclass

from model_worker.families.base import Grid
from model_worker.families.template import Turn
from model_worker.memory.policies.base import CompressionPolicy
from model_worker.timeline import TimelineState
from model_worker.watch import Seen


@dataclass(frozen=True)
class SessionState:
    """All of it, so that another session of the same model and shape can go on from it.

    `pending` frames wait for the rest of their unit; `lengths` are the tokens of the latest units;
    `newest` is in seconds, -inf before the first frame.
    """

    policy: CompressionPolicy
    timeline: TimelineState
    grid: Grid | None
    frames: int
    newest: float
    pending: tuple[Seen, ...]
    lengths: tuple[int, ...]
    instructions: str
    history_turns: int
    turns: tuple[Turn, ...]
    turns_in_all: int
