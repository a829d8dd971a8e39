"""Frames of one session on their way into its memory."""

from collections.abc import Callable

import torch
from torch import Tensor

from model_worker.families.base import FamilyAdapter, Grid
from model_worker.memory.cache import BoundedCache
from model_worker.timeline import Timeline
from model_worker.work import Piece

Seen = tuple[Tensor, float]
"""A frame's pixel values `[3, height, width]` and its time in seconds."""


class Watch:
    """Whole units of frames, appended as the memory has room, compressing where it has none.

    `make_room` compresses the memory for units of a grid, `on_units` hears how many tokens each
    unit that has reached memory has, and `on_end` that all have.
    """

    def __init__(
        self,
        adapter: FamilyAdapter,
        cache: BoundedCache,
        timeline: Timeline,
        frames: list[Seen],
        grid: Grid,
        make_room: Callable[[Grid], None],
        on_units: Callable[[list[int]], None],
        on_end: Callable[[], None],
    ) -> None:
        self._adapter = adapter
        self._cache = cache
        self._timeline = timeline
        self._grid = grid
        self._make_room = make_room
        self._on_units = on_units
        self._on_end = on_end
        group = adapter.frames_per_unit
        assert len(frames) % group == 0
        self._moments = [
            [time for _, time in frames[i : i + group]] for i in range(0, len(frames), group)
        ]
        self._pixels: Tensor | None = None
        if frames:
            pixels = torch.stack([each for each, _ in frames])
            self._pixels = pixels.view(-1, group, *pixels.shape[1:])
        self._visual: Tensor | None = None
        self._done = 0
        self._planned: list[tuple[Tensor, Tensor, float]] = []  # positions, patches, time by unit

    def pictures(self) -> tuple[Tensor, Grid] | None:
        """See `Work`."""
        return None if self._pixels is None else (self._pixels, self._grid)

    def seen(self, visual: Tensor) -> None:
        """See `Work`."""
        self._pixels, self._visual = None, visual

    def piece(self) -> Piece | None:
        """As many units as there is room for, after a compression pass where there is none."""
        if self._visual is None or self._done == len(self._visual):
            self._on_end()
            return None
        cache, most = self._cache, self._adapter.unit_tokens(self._grid)
        if cache.visual_room < most:
            self._make_room(self._grid)
        count = min(len(self._visual) - self._done, cache.visual_room // most)
        embeddings, self._planned = [], []
        highest = self._timeline.highest
        for ahead in range(count):
            times = self._moments[self._done + ahead]
            text, positions = self._timeline.place(
                self._timeline.units + ahead, times, highest, self._grid
            )
            visual = self._visual[self._done + ahead]
            embeddings.append(self._adapter.unit_embeddings(visual, text))
            patches = self._adapter.unit_patches(self._grid, len(text.before), len(text.after))
            self._planned.append((positions, patches, times[0]))
            highest = max(highest, int(positions.max()))
        joined = torch.cat(embeddings)
        along = torch.cat([positions for positions, _, _ in self._planned], dim=1)
        return Piece(joined, along, cache.begin_visual(len(joined)), speaks=False)

    def commit(self, logits: Tensor | None) -> Piece | None:
        """See `Work`."""
        lengths = [len(patches) for _, patches, _ in self._planned]
        positions = torch.cat([positions for positions, _, _ in self._planned], dim=1)
        starts = torch.tensor([time for _, _, time in self._planned], dtype=torch.float64)
        self._cache.commit_visual(
            patches=torch.cat([patches for _, patches, _ in self._planned]),
            times=starts.repeat_interleave(torch.tensor(lengths)).to(self._adapter.device),
            positions=positions[0],
        )
        highest = max(self._timeline.highest, int(positions.max()))
        self._timeline.advance(len(lengths), highest)
        self._done += len(lengths)
        self._on_units(lengths)
        return self.piece()

    def abandon(self) -> None:
        """See `Work`: what is not committed was never there."""
