"""Sessions that have seen something, for several tests."""

import numpy as np
from numpy.typing import NDArray

from model_worker.engine import Engine
from model_worker.session import Session

Frames = list[NDArray[np.uint8]]
FAMILIES = ["llava_onevision", "qwen2_vl", "qwen2_5_vl"]
LATER = ["qwen3_vl", "llava_next_video", "smolvlm", "internvl"]


def watched(engine: Engine, frames: Frames, budget: int = 24, **more: object) -> Session:
    """A session that has seen all `frames`, one a second."""
    session = engine.open_session(budget_tokens=budget, **more)  # type: ignore[arg-type]
    session.watch_many(frames, [float(i) for i in range(len(frames))])
    return session


def small(engine: Engine, budget: int) -> int:
    """A budget of that many tokens, or what the largest frame of the family needs."""
    return max(budget, 2 * engine.adapter.most_tokens_per_unit)
