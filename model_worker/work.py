"""Bounded pieces of work on one model: of one session alone, or of several as one.

What sessions have to do is cut into pieces, and the pieces of a turn pass the vision tower and the
decoder together: the cost of a pass hardly grows with the few tokens of one session more. A piece
that fails fails alone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from model_worker.families.base import FamilyAdapter, Grid
from model_worker.memory.packed import PackedCache, Segment


@dataclass(frozen=True)
class Piece:
    """Tokens for the decoder: embeddings `[tokens, hidden]` at positions `[axes, tokens]`, written
    to `segment`. `speaks`: the logits after the last one are wanted."""

    embeddings: Tensor
    positions: Tensor
    segment: Segment
    speaks: bool


class Work(Protocol):
    """Something that a session has to do."""

    def pictures(self) -> tuple[Tensor, Grid] | None:
        """Pixel values `[units, frames, 3, height, width]` that need the vision tower first."""

    def seen(self, visual: Tensor) -> None:
        """Takes what the tower makes of them, `[units, tokens, hidden]`."""

    def piece(self) -> Piece | None:
        """What comes next; None where there is nothing (more) to do in this turn."""

    def commit(self, logits: Tensor | None) -> Piece | None:
        """The piece is done; `logits` `[vocabulary]` where they were wanted. Returns the piece
        that has to follow in the same turn, if there is one."""

    def abandon(self) -> None:
        """A piece has failed: leave everything as it was before."""


@torch.no_grad()
def advance(adapter: FamilyAdapter, works: Sequence[Work]) -> dict[int, Exception]:
    """One piece of each work, in as few passes as can be. Returns what was raised, by the place in
    `works` of the work that it belongs to; the others are done."""
    failures = _see(adapter, works)
    pieces: dict[int, Piece] = {}
    for place in _left(works, failures):
        try:
            piece = works[place].piece()
            if piece is not None:
                pieces[place] = piece
        except Exception as error:
            failures[place] = error
    while pieces:
        following: dict[int, Piece] = {}
        for place, logits in _forward(adapter, pieces, failures).items():
            try:
                piece = works[place].commit(logits)
                if piece is not None:
                    following[place] = piece
            except Exception as error:
                failures[place] = error
        pieces = following
    for place in failures:
        works[place].abandon()
    return failures


@torch.no_grad()
def see(adapter: FamilyAdapter, works: Sequence[Work]) -> dict[int, Exception]:
    """The first half of `advance` alone: what `works` have pictures of passes the vision tower.
    Returns what was raised, as `advance`."""
    failures = _see(adapter, works)
    for place in failures:
        works[place].abandon()
    return failures


def _left(works: Sequence[Work], failures: dict[int, Exception]) -> Iterable[int]:
    return (place for place in range(len(works)) if place not in failures)


def _see(adapter: FamilyAdapter, works: Sequence[Work]) -> dict[int, Exception]:
    """The vision tower, once for all pictures of one shape."""
    failures: dict[int, Exception] = {}
    by_shape: dict[tuple[Grid, torch.Size], list[tuple[int, Tensor]]] = {}
    for place, work in enumerate(works):
        pictures = work.pictures()
        if pictures is not None:
            units, grid = pictures
            by_shape.setdefault((grid, units.shape[1:]), []).append((place, units))
    for (grid, _), group in by_shape.items():
        try:
            visual = adapter.encode(torch.cat([units for _, units in group]), grid)
            parts = torch.split(visual, [len(units) for _, units in group])
            for (place, _), part in zip(group, parts, strict=True):
                works[place].seen(part)
        except Exception as together:
            if len(group) == 1:
                failures[group[0][0]] = together
                continue
            for place, units in group:  # one of them is to blame, or they are too many at once
                try:
                    works[place].seen(adapter.encode(units, grid))
                except Exception as error:
                    failures[place] = error
    return failures


def _forward(
    adapter: FamilyAdapter, pieces: dict[int, Piece], failures: dict[int, Exception]
) -> dict[int, Tensor | None]:
    """The decoder over all pieces; each one's logits, or None where it wants none."""
    try:
        done = run(adapter, list(pieces.values()))
        return dict(zip(pieces, done, strict=True))
    except Exception as together:
        if len(pieces) == 1:
            failures.update(dict.fromkeys(pieces, together))
            return {}
    alone: dict[int, Tensor | None] = {}
    for place, piece in pieces.items():
        try:
            (alone[place],) = run(adapter, [piece])
        except Exception as error:
            failures[place] = error
    return alone


def run(adapter: FamilyAdapter, pieces: Sequence[Piece]) -> list[Tensor | None]:
    """One forward over `pieces`. Returns the logits `[vocabulary]` of those that speak."""
    packed = PackedCache([piece.segment for piece in pieces])
    embeddings = _joined([piece.embeddings for piece in pieces], 0)
    positions = _joined([piece.positions for piece in pieces], 1)
    hidden = adapter.forward(embeddings, positions, packed)
    lasts = torch.tensor(packed.lengths).cumsum(0) - 1
    speaking = [place for place, piece in enumerate(pieces) if piece.speaks]
    results: list[Tensor | None] = [None] * len(pieces)
    if speaking:
        for place, logits in zip(
            speaking, adapter.logits(hidden[lasts[speaking].to(hidden.device)]), strict=True
        ):
            results[place] = logits
    return results


def _joined(parts: list[Tensor], dim: int) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=dim)
