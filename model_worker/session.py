"""A session: it watches frames into a bounded memory and answers questions about it.

It knows no broker and no clock: frames come with their timestamps.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

import torch

from model_worker.answer import Answer
from model_worker.compressor import Compressor
from model_worker.decoding import Sampling
from model_worker.families.base import FamilyAdapter, Grid
from model_worker.families.template import Turn
from model_worker.frame import Frame, FrameError, check_frame
from model_worker.memory.cache import BoundedCache, CacheShape
from model_worker.memory.description import MemoryDescription, describe
from model_worker.memory.policies.base import CompressionPolicy
from model_worker.memory.pool import KVPool
from model_worker.memory.view import MemoryView
from model_worker.prompt import Moment, QuestionError, fit_turns, plan_prompt
from model_worker.state import SessionState
from model_worker.timeline import Positions, Timeline
from model_worker.watch import Seen, Watch
from model_worker.work import Piece, advance, run

__all__ = [
    "Answer",
    "Frame",
    "FrameError",
    "Moment",
    "QuestionError",
    "Session",
    "SessionBusy",
]


class SessionBusy(RuntimeError):
    """The memory waits for an answer to end before it can make room: hold the frame."""


class Session:
    """One camera's memory and conversation. Not thread-safe; one answer at a time.

    Raises PoolFull where the pool has no room for `shape`.
    """

    def __init__(
        self,
        adapter: FamilyAdapter,
        shape: CacheShape,
        policy: CompressionPolicy,
        pool: KVPool,
        *,
        history_turns: int = 4,
        longest_position: int | None = None,
        positions: Positions = "native",
        instructions: str = "",
    ) -> None:
        prefix, _ = adapter.conversation([], "?", instructions)
        assert len(prefix) == shape.prefix
        self._adapter = adapter
        self._instructions = instructions
        self._compressor = Compressor(adapter, shape, policy, instructions)
        cache = BoundedCache(shape, adapter.dtype, adapter.device, pool, policy.marks)
        self._cache: BoundedCache | None = cache
        longest = longest_position or adapter.longest_position
        self._timeline = Timeline(adapter, shape, longest, positions)
        self._turns: deque[Turn] = deque(maxlen=history_turns)
        self._turns_in_all = 0
        self._answer: Answer | None = None
        self._grid: Grid | None = None
        self._pending: list[Seen] = []
        self._newest = -math.inf
        self._frames = 0
        self.passes = self._compressor.passes
        """See `Compressor`; whoever counts them takes them out."""
        try:
            if prefix:
                self._prefill_prefix(prefix)
        except BaseException:
            self.close()
            raise

    # -- watching -------------------------------------------------------------------------------

    @property
    def can_watch(self) -> bool:
        """Whether `watch` takes a frame now; else an answer has to end first."""
        return self._answer is None or self.has_room

    @property
    def has_room(self) -> bool:
        """Whether a frame fits without a compression pass."""
        cache = self._open_cache()
        if self._grid is None or len(self._pending) + 1 < self._adapter.frames_per_unit:
            return True
        return cache.visual_room >= self._adapter.unit_tokens(self._grid)

    @property
    def has_seen(self) -> bool:
        """Whether a frame was seen yet."""
        return self._frames > 0

    @property
    def newest(self) -> float:
        """When the newest frame was seen, in seconds; a frame has to come after it."""
        return self._newest

    def watch(self, frame: Frame, timestamp: float) -> None:
        """Take one frame, RGB `[height, width, 3]`, seen at `timestamp` seconds.

        Raises FrameError for a frame that cannot be used and SessionBusy while `can_watch` is
        false; the session is then as it was.
        """
        if self.watch_many([frame], [timestamp]) == 0:
            raise SessionBusy(
                "the memory is full until the answer in progress ends: hold the frame"
            )

    def watch_many(self, frames: Sequence[Frame], timestamps: Sequence[float]) -> int:
        """`watch` for several frames, encoded together. Returns how many were taken, from the
        first on: all of them, unless an answer in progress holds the memory.

        Raises FrameError where one cannot be used; then none is taken.
        """
        watch, taken = self.prepare(frames, timestamps)
        for error in advance(self._adapter, [watch]).values():
            raise error
        return taken

    def prepare(self, frames: Sequence[Frame], timestamps: Sequence[float]) -> tuple[Watch, int]:
        """`watch_many` as work that can be done together with other sessions'. Nothing has
        happened yet; at most one at a time.

        Raises FrameError where a frame cannot be used.
        """
        cache, compressor = self._open_cache(), self._compressor
        if len(frames) != len(timestamps):
            raise FrameError(f"{len(frames)} frames came with {len(timestamps)} timestamps")
        newest = self._newest
        for frame, timestamp in zip(frames, timestamps, strict=True):
            check_frame(frame, timestamp, newest)
            newest = timestamp
        if self._grid is None and frames:
            self._grid = self._choose_grid(frames[0])
        grid = self._grid or Grid(0, 0, 0, 0)
        group = self._adapter.frames_per_unit
        taken = len(frames)
        units_left = cache.visual_room // self._adapter.unit_tokens(grid) if frames else 0
        room = (units_left + 1) * group - 1 - len(self._pending)
        compressor.admit(cache, taken, room)
        if self._answer is not None:
            taken = min(taken, room)
        waiting = self._pending + [
            (self._adapter.pixels(frame, grid), float(timestamp))
            for frame, timestamp in zip(frames[:taken], timestamps[:taken], strict=True)
        ]
        ready = len(waiting) // group * group

        def taken_all() -> None:
            self._pending = waiting[ready:]
            if taken:
                self._newest = float(timestamps[taken - 1])
                self._frames += taken

        watch = Watch(
            self._adapter,
            cache,
            self._timeline,
            waiting[:ready],
            grid,
            lambda grid: compressor.make_room(cache, self._timeline, grid),
            lambda lengths: compressor.arrived(cache, lengths, grid),
            taken_all,
        )
        return watch, taken

    def _choose_grid(self, frame: Frame) -> Grid:
        try:
            return self._adapter.grid(frame.shape[1], frame.shape[0])
        except ValueError as error:
            raise FrameError(f"the model cannot take frames of this shape: {error}") from error

    @torch.no_grad()
    def _prefill_prefix(self, ids: list[int]) -> None:
        segment = self._open_cache().begin_prefix()
        positions = self._adapter.text_positions(0, len(ids))
        run(self._adapter, [Piece(self._adapter.embed(ids), positions, segment, speaks=False)])

    # -- asking ---------------------------------------------------------------------------------

    def moment(self) -> Moment | None:
        """The memory as it is now, for a question that has to wait; None before the first frame."""
        if self._grid is None or not self._frames:
            return None
        cache = self._open_cache()
        return Moment(
            cache.compressions,
            cache.visual_length,
            self._timeline.units,
            self._timeline.highest,
            tuple(self._pending),
            self._span(),
        )

    @torch.no_grad()
    def ask(
        self,
        question: str,
        sampling: Sampling | None = None,
        moment: Moment | None = None,
        *,
        aside: bool = False,
    ) -> Answer:
        """Ask about all that was seen so far. The work happens in `Answer.step`.

        An `aside` neither sees the conversation nor becomes part of it.

        `moment`: when the question was asked, if that was before now. Where the memory was
        compressed since, the answer sees it as it is now.

        Raises QuestionError where the question is empty or too long, where no frame was seen yet,
        or while another answer is in progress.
        """
        cache = self._open_cache()
        sampling = sampling or Sampling()
        if self._answer is not None:
            raise QuestionError("another answer is in progress: wait for it or cancel it")
        now = self.moment()
        if now is None or self._grid is None:
            raise QuestionError("no frame has been seen yet: start the camera first")
        if moment is None or moment.compressions != cache.compressions:
            moment = now
        question = self._adapter.uncontrolled(question).strip()
        if not question:
            raise QuestionError("the question is empty")
        scratch, grid = cache.shape.scratch, self._grid
        tokens = min(sampling.max_tokens, scratch // 2)
        room = scratch - tokens - len(self._adapter.closing())
        room -= self._adapter.unit_tokens(grid) if moment.pending else 0
        turns = [] if aside else list(self._turns)
        ids, kept = fit_turns(self._adapter, turns, question, self._instructions, room)
        prefix = cache.shape.prefix
        self._answer = Answer(
            adapter=self._adapter,
            cache=cache,
            question=question,
            make_prompt=plan_prompt(self._adapter, self._timeline, prefix, ids, grid, moment),
            sampling=replace(sampling, max_tokens=tokens),
            span=moment.span,
            visible=moment.visible,
            highest_position=moment.highest,
            turns_kept=kept,
            turns_forgotten=self._turns_in_all - kept,
            on_end=self._finish_aside if aside else self._finish,
        )
        return self._answer

    def _finish_aside(self, answer: Answer) -> None:
        self._answer = None

    def _finish(self, answer: Answer) -> None:
        self._answer = None
        if answer.status in ("completed", "incomplete"):
            self._turns.append(Turn(answer.question, self._adapter.uncontrolled(answer.text)))
            self._turns_in_all += 1

    @property
    def cache(self) -> BoundedCache:
        """The tensors of the memory. Raises RuntimeError once the session is closed."""
        return self._open_cache()

    @property
    def state(self) -> SessionState:
        """The rest. Frames of work that is not done yet and an answer in progress are not in it."""
        return SessionState(
            policy=self._compressor.policy,
            timeline=self._timeline.state,
            grid=self._grid,
            frames=self._frames,
            newest=self._newest,
            pending=tuple(self._pending),
            lengths=tuple(self._compressor.lengths),
            instructions=self._instructions,
            history_turns=self._turns.maxlen or 0,
            turns=tuple(self._turns),
            turns_in_all=self._turns_in_all,
        )

    def resume(self, state: SessionState) -> None:
        """Go on from the state of a session that was opened as this one."""
        assert (self._compressor.policy, self._instructions) == (state.policy, state.instructions)
        self._timeline.resume(state.timeline)
        self._grid, self._frames, self._newest = state.grid, state.frames, state.newest
        self._pending = list(state.pending)
        self._compressor.lengths.extend(state.lengths)
        self._turns.extend(state.turns)
        self._turns_in_all = state.turns_in_all

    # -- looking at it --------------------------------------------------------------------------

    @property
    def memory(self) -> MemoryView:
        cache = self._open_cache()
        return MemoryView(
            tokens=cache.visual_length,
            peak_tokens=cache.peak_length,
            cap_tokens=cache.shape.cap,
            budget_tokens=cache.shape.budget,
            kv_bytes=cache.kv_bytes,
            frames_seen=self._frames,
            compressions=cache.compressions,
            span=self._span() if self._frames else None,
            describe=self._describe,
        )

    def _describe(self) -> MemoryDescription:
        grid, span = self._grid, self._span() if self._frames else None
        sides = (grid.rows, grid.columns, self._adapter.unit_tokens(grid)) if grid else None
        left = self._timeline.left(self._compressor.fewest_tokens, grid) if grid else None
        return describe(self._open_cache(), sides, span, left)

    @property
    def transcript(self) -> list[Turn]:
        """The latest finished turns, oldest first."""
        return list(self._turns)

    def _span(self) -> tuple[float, float]:
        cache = self._open_cache()
        if cache.visual_length == 0:
            return self._pending[0][1], self._newest
        return float(cache.times[:, :, 0].min()), self._newest

    def close(self) -> None:
        """End an answer in progress and free the buffer. Closing twice does no harm."""
        if self._answer is not None:
            self._answer.cancel()
        if self._cache is not None:
            self._cache.free()
        self._cache = None
        self._pending = []

    def _open_cache(self) -> BoundedCache:
        if self._cache is None:
            raise RuntimeError("the session is closed")
        return self._cache
