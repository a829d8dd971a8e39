"""Makes room in the memory of one session, as its policy says."""

import time
from collections import deque

from model_worker.families.base import FamilyAdapter, Grid
from model_worker.frame import FrameError
from model_worker.memory.cache import BoundedCache, CacheShape
from model_worker.memory.policies.base import CompressionPolicy
from model_worker.memory.policies.tokens import Layout
from model_worker.proxy import attention_of, layout_of
from model_worker.timeline import Timeline

_PASSES = 64


class Compressor:
    """Compression passes, and what the policy is told before them and when frames come.

    `lengths`: the tokens of the latest units. `passes`: how long the latest passes took, in
    seconds, as this thread waits for them, proxy questions among it.
    """

    def __init__(
        self, adapter: FamilyAdapter, shape: CacheShape, policy: CompressionPolicy, words: str
    ) -> None:
        """`words` are the session's instructions."""
        self.policy = policy
        self.lengths: deque[int] = deque(maxlen=shape.cap)
        self.passes: deque[float] = deque(maxlen=_PASSES)
        self._adapter = adapter
        self._words = words
        self._layout: Layout | None = None

    @property
    def fewest_tokens(self) -> int:
        """Tokens that a unit has had of late at least."""
        return min(self.lengths, default=1)

    def arrived(self, cache: BoundedCache, lengths: list[int], grid: Grid) -> None:
        """Units of so many tokens were just committed."""
        self.lengths.extend(lengths)
        if self.policy.marks:
            cache.arrive(self.policy, sum(lengths), self._laid(grid))

    def make_room(self, cache: BoundedCache, timeline: Timeline, grid: Grid) -> None:
        """One pass."""
        began, policy, adapter = time.perf_counter(), self.policy, self._adapter
        recent = policy.recent_frames(
            cache.shape.cap, cache.shape.budget, adapter.unit_tokens(grid)
        )
        attention = attention_of(
            policy.proxies, adapter, cache, grid, timeline.highest, self._words
        )
        recent_tokens = sum(list(self.lengths)[-recent:])
        cache.compress(policy, recent_tokens, attention, self._laid(grid))
        timeline.compact(cache, self.fewest_tokens, grid)
        self.passes.append(time.perf_counter() - began)

    def admit(self, cache: BoundedCache, frames: int, room: int) -> None:
        """Raises FrameError where the memory takes `room` frames without a pass, `frames` have
        come, and the policy would drop nothing for them."""
        if frames > room and not self.policy.drops:
            raise FrameError(
                f"the policy {self.policy.name!r} drops nothing and the memory of "
                f"{cache.shape.cap} tokens is full: open a session with more budget_tokens, or "
                "with another policy"
            )

    def _laid(self, grid: Grid) -> Layout:
        """How the tokens of a frame lie; the grid of a session is always the same."""
        if self._layout is None:
            self._layout = layout_of(self._adapter, grid)
        return self._layout
