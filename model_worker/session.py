"""A session: it watches frames into a bounded memory and answers questions about it.

It knows no broker and no clock: frames come with their timestamps.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model_worker.answer import Answer, Prompt
from model_worker.decoding import Sampling
from model_worker.families.base import Around, FamilyAdapter, Grid, Turn
from model_worker.frame import Frame, FrameError, check_frame
from model_worker.memory.cache import BoundedCache, CacheShape
from model_worker.memory.policies.base import CompressionPolicy
from model_worker.memory.view import MemoryView

__all__ = [
    "Answer",
    "Frame",
    "FrameError",
    "MemoryView",
    "QuestionError",
    "Sampling",
    "Session",
    "SessionBusy",
    "Turn",
]


class QuestionError(ValueError):
    """A question that cannot be asked now; the message says why."""


class SessionBusy(RuntimeError):
    """The memory waits for an answer to end before it can make room: hold the frame."""


@dataclass
class _Origin:
    """From where positions along time are counted: a unit, its time and its position."""

    unit: int
    seconds: float
    position: int


class Session:
    """One camera's memory and conversation. Not thread-safe; one answer at a time."""

    def __init__(
        self,
        adapter: FamilyAdapter,
        shape: CacheShape,
        policy: CompressionPolicy,
        history_turns: int = 4,
        longest_position: int | None = None,
    ) -> None:
        self._adapter = adapter
        self._policy = policy
        self._cache: BoundedCache | None = BoundedCache(shape, adapter.dtype, adapter.device)
        self._kv_bytes = self._cache.kv_bytes
        self._longest_position = longest_position or adapter.longest_position
        self._turns: deque[Turn] = deque(maxlen=history_turns)
        self._answer: Answer | None = None
        self._grid: Grid | None = None
        self._pending: list[tuple[Tensor, float]] = []
        self._first = self._newest = -math.inf
        self._lengths: deque[int] = deque(maxlen=shape.cap)  # tokens of the latest units
        self._frames = 0
        self._units = 0
        self._origin: _Origin | None = None
        self._highest = shape.prefix - 1
        prefix, _ = adapter.conversation([], "?")
        assert len(prefix) == shape.prefix
        if prefix:
            self._prefill_prefix(prefix)

    # -- watching -------------------------------------------------------------------------------

    @property
    def can_watch(self) -> bool:
        """Whether `watch` takes a frame now; else an answer has to end first."""
        cache = self._open_cache()
        if self._answer is None or self._grid is None:
            return True
        if len(self._pending) + 1 < self._adapter.frames_per_unit:
            return True
        return cache.visual_room >= self._adapter.unit_tokens(self._grid)

    def watch(self, frame: Frame, timestamp: float) -> None:
        """Take one frame, RGB `[height, width, 3]`, seen at `timestamp` seconds.

        Raises FrameError for a frame that cannot be used and SessionBusy while `can_watch` is
        false; the session is then as it was.
        """
        if self.watch_many([frame], [timestamp]) == 0:
            raise SessionBusy(
                "the memory is full until the answer in progress ends: hold the frame"
            )

    @torch.no_grad()
    def watch_many(self, frames: Sequence[Frame], timestamps: Sequence[float]) -> int:
        """`watch` for several frames, encoded together. Returns how many were taken, from the
        first on: all of them, unless an answer in progress holds the memory.

        Raises FrameError where one cannot be used; then none is taken.
        """
        cache = self._open_cache()
        if len(frames) != len(timestamps):
            raise FrameError(f"{len(frames)} frames came with {len(timestamps)} timestamps")
        newest = self._newest
        for frame, timestamp in zip(frames, timestamps, strict=True):
            check_frame(frame, timestamp, newest)
            newest = timestamp
        if not frames:
            return 0
        grid = self._grid or self._choose_grid(frames[0])
        group = self._adapter.frames_per_unit
        taken = len(frames)
        if self._answer is not None:
            units_left = cache.visual_room // self._adapter.unit_tokens(grid)
            taken = min(taken, (units_left + 1) * group - 1 - len(self._pending))
        seen = [
            (self._adapter.pixels(frame, grid), float(timestamp))
            for frame, timestamp in zip(frames[:taken], timestamps[:taken], strict=True)
        ]
        waiting = self._pending + seen
        ready = len(waiting) // group * group
        if ready:
            units = torch.stack([pixels for pixels, _ in waiting[:ready]])
            units = units.view(-1, group, *units.shape[1:])
            moments = [[at for _, at in waiting[i : i + group]] for i in range(0, ready, group)]
            self._ingest(self._adapter.encode(units, grid), moments, grid)
        self._grid = grid
        self._pending = waiting[ready:]
        if taken:
            self._newest = float(timestamps[taken - 1])
            self._frames += taken
        return taken

    def _choose_grid(self, frame: Frame) -> Grid:
        try:
            return self._adapter.grid(frame.shape[1], frame.shape[0])
        except ValueError as error:
            raise FrameError(f"the model cannot take frames of this shape: {error}") from error

    def _ingest(self, visual: Tensor, moments: list[list[float]], grid: Grid) -> None:
        """Append units `[units, tokens, hidden]` of these times, compressing for want of room."""
        most = self._adapter.unit_tokens(grid)
        done = 0
        while done < len(visual):
            cache = self._open_cache()
            if cache.visual_room < most:
                self._compress(grid)
            count = min(len(visual) - done, cache.visual_room // most)
            part = slice(done, done + count)
            self._append(visual[part], moments[part], grid)
            done += count

    def _append(self, visual: Tensor, moments: list[list[float]], grid: Grid) -> None:
        cache, adapter = self._open_cache(), self._adapter
        embeddings, positions, patches = [], [], []
        highest = self._highest
        for ahead, times in enumerate(moments):
            text, placed = self._place_unit(ahead, times, highest, grid)
            embeddings.append(adapter.unit_embeddings(visual[ahead], text))
            positions.append(placed)
            patches.append(adapter.unit_patches(grid, len(text.before), len(text.after)))
            highest = max(highest, int(placed.max()))
        lengths = [len(unit) for unit in patches]
        along = torch.cat(positions, dim=1)
        adapter.forward(torch.cat(embeddings), along, cache.begin_visual(sum(lengths)), cache)
        starts = torch.tensor([times[0] for times in moments], dtype=torch.float64)
        cache.commit_visual(
            patches=torch.cat(patches),
            times=starts.repeat_interleave(torch.tensor(lengths)).to(adapter.device),
            positions=along[0],
        )
        self._units += len(moments)
        self._lengths.extend(lengths)
        self._highest = highest

    def _place_unit(
        self, ahead: int, times: list[float], highest: int, grid: Grid
    ) -> tuple[Around, Tensor]:
        """The text and the positions `[axes, tokens]` of the unit that comes `ahead` units after
        those seen and whose frames came at `times`, where positions up to `highest` are taken."""
        prefix = self._open_cache().shape.prefix
        if self._origin is None:
            self._origin, self._first = _Origin(0, times[0], prefix), times[0]
        origin, index = self._origin, self._units + ahead
        passed = self._adapter.time_position(index - origin.unit, times[0] - origin.seconds, grid)
        start = highest + 1 if passed is None else origin.position + passed
        text = self._adapter.unit_text(index, [time - self._first for time in times])
        around = len(text.before), len(text.after)
        return text, self._adapter.unit_positions(prefix, start, grid, *around)

    def _compress(self, grid: Grid) -> None:
        cache = self._open_cache()
        shape, most = cache.shape, self._adapter.unit_tokens(grid)
        recent = self._policy.recent_frames(shape.cap, shape.budget, most)
        cache.compress(self._policy, sum(list(self._lengths)[-recent:]))
        places, stride = self._adapter.slot(grid)
        ahead = (shape.block // min(self._lengths) + 1) * self._pace(stride) + shape.scratch
        if self._highest + ahead < self._longest_position:
            return
        span = (self._longest_position - shape.prefix - ahead) // 2
        end = cache.compact(self._adapter.time_frequencies(), stride, stride, span, places)
        newest = float(cache.times[0, 0, cache.visual_length - 1])
        self._origin = _Origin(self._units - 1, newest, end - stride)
        self._highest = self._adapter.highest_after(shape.prefix, end, grid)

    def _pace(self, stride: int) -> int:
        """Positions along time that a unit has taken of late, at least `stride`."""
        if self._origin is None or self._units <= self._origin.unit:
            return stride
        taken = self._highest + 1 - self._origin.position
        return max(stride, -(-taken // (self._units - self._origin.unit)))

    def _prefill_prefix(self, ids: list[int]) -> None:
        cache = self._open_cache()
        with torch.no_grad():
            mask = cache.begin_prefix()
            positions = self._adapter.text_positions(0, len(ids))
            self._adapter.forward(self._adapter.embed(ids), positions, mask, cache)

    # -- asking ---------------------------------------------------------------------------------

    @torch.no_grad()
    def ask(self, question: str, sampling: Sampling | None = None) -> Answer:
        """Ask about all that was seen so far. The work happens in `Answer.step`.

        Raises QuestionError where the question is empty or too long, where no frame was seen yet,
        or while another answer is in progress.
        """
        cache = self._open_cache()
        sampling = sampling or Sampling()
        if self._answer is not None:
            raise QuestionError("another answer is in progress: wait for it or cancel it")
        if self._grid is None:
            raise QuestionError("no frame has been seen yet: start the camera first")
        question = self._adapter.uncontrolled(question).strip()
        if not question:
            raise QuestionError("the question is empty")
        ids, sampling = self._fit(question, sampling, self._grid)
        self._answer = Answer(
            adapter=self._adapter,
            cache=cache,
            question=question,
            make_prompt=self._plan_prompt(ids, self._grid),
            sampling=sampling,
            span=self._span(),
            highest_position=self._highest,
            on_end=self._finish,
        )
        return self._answer

    def _fit(self, question: str, sampling: Sampling, grid: Grid) -> tuple[list[int], Sampling]:
        """The ids after the visual tokens, with as many earlier turns as there is room for."""
        scratch = self._open_cache().shape.scratch
        tokens = min(sampling.max_tokens, scratch // 2)
        room = scratch - tokens - len(self._adapter.closing())
        room -= self._adapter.unit_tokens(grid) if self._pending else 0
        turns = list(self._turns)
        while True:
            _, ids = self._adapter.conversation(turns, question)
            if len(ids) <= room:
                return ids, Sampling(tokens, sampling.temperature, sampling.top_p, sampling.seed)
            if not turns:
                break
            turns.pop(0)
        said = len(self._adapter.tokenizer(question, add_special_tokens=False).input_ids)
        raise QuestionError(
            f"the question has {said} tokens; at most {max(0, room - (len(ids) - said))} fit "
            f"beside an answer of {tokens} tokens"
        )

    def _plan_prompt(self, ids: list[int], grid: Grid) -> Callable[[], Prompt]:
        """What will be prefilled: a unit that is not full yet (its last frame repeated, as
        `transformers` pads), what closes the video, and the text. Positions are settled now,
        while the memory is as the question finds it; the vision tower runs later."""
        frames, positions, highest, around = self._pending, [], self._highest, Around([], [])
        if frames:
            frames = frames + frames[-1:] * (self._adapter.frames_per_unit - len(frames))
            times = [time for _, time in frames]
            around, placed = self._place_unit(0, times, highest, grid)
            positions.append(placed)
            highest = max(highest, int(placed.max()))
        text = torch.cat((self._adapter.closing(), self._adapter.embed(ids)))
        start = self._adapter.text_start(self._open_cache().shape.prefix, highest, grid)
        positions.append(self._adapter.text_positions(start, len(text)))

        def make_prompt() -> Prompt:
            seen = text[:0]
            if frames:
                pixels = torch.stack([frame for frame, _ in frames])
                visual = self._adapter.encode(pixels[None], grid)[0]
                seen = self._adapter.unit_embeddings(visual, around)
            return Prompt(torch.cat((seen, text)), torch.cat(positions, dim=1))

        return make_prompt

    def _finish(self, answer: Answer) -> None:
        self._answer = None
        if answer.status in ("completed", "incomplete"):
            self._turns.append(Turn(answer.question, self._adapter.uncontrolled(answer.text)))

    # -- looking at it --------------------------------------------------------------------------

    @property
    def memory(self) -> MemoryView:
        cache = self._open_cache()
        return MemoryView(
            tokens=cache.visual_length,
            peak_tokens=cache.peak_length,
            cap_tokens=cache.shape.cap,
            budget_tokens=cache.shape.budget,
            kv_bytes=self._kv_bytes,
            frames_seen=self._frames,
            compressions=cache.compressions,
            span=self._span() if self._frames else None,
        )

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
        self._cache = None
        self._pending = []

    def _open_cache(self) -> BoundedCache:
        if self._cache is None:
            raise RuntimeError("the session is closed")
        return self._cache
