"""Proxy questions: the model reads a few words over a memory, only to see where it looks.

They are read in the scratch region, as questions are, and are gone before the pass that they are
for. Hidden states go from layer to layer as in any answer.
"""

import torch
from torch import Tensor

from model_worker.families.base import FamilyAdapter, Grid
from model_worker.memory.attention import Witness
from model_worker.memory.cache import BoundedCache
from model_worker.memory.policies.tokens import Layout


@torch.no_grad()
def attention_of(
    questions: tuple[str, ...],
    adapter: FamilyAdapter,
    cache: BoundedCache,
    grid: Grid,
    highest: int,
    instructions: str,
) -> Tensor | None:
    """How much each of `questions` looks at each visual token, as `VisualTokens.attention`; None
    without any. "" is what the chat template writes around an empty question. Positions up to
    `highest` are taken."""
    if not questions:
        return None
    looked = [
        _read(question, adapter, cache, grid, highest, instructions) for question in questions
    ]
    return torch.stack(looked)


def _read(
    question: str,
    adapter: FamilyAdapter,
    cache: BoundedCache,
    grid: Grid,
    highest: int,
    instructions: str,
) -> Tensor:
    _, ids = adapter.conversation([], question, instructions)
    closing = adapter.closing()
    text = torch.cat((closing, adapter.embed(ids)))
    start = adapter.text_start(cache.shape.prefix, highest, grid)
    positions = adapter.text_positions(start, len(text))
    segment = cache.begin_scratch(len(text), cache.visual_length)
    first = cache.shape.prefix
    witness = Witness(segment, (first, first + cache.visual_length), len(closing))
    adapter.forward(text, positions, witness)
    return witness.attention


def layout_of(adapter: FamilyAdapter, grid: Grid) -> Layout:
    """How the tokens of a frame of this grid lie, for policies."""
    frequencies = adapter.time_frequencies()
    return Layout(grid.rows, grid.columns, frequencies, adapter.spatial_angles(grid))
