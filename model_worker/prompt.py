"""What is prefilled for a question: the conversation behind the memory of one moment."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from model_worker.families.base import Around, FamilyAdapter, Grid
from model_worker.families.template import Turn
from model_worker.timeline import Timeline
from model_worker.watch import Seen


class QuestionError(ValueError):
    """A question that cannot be asked now; the message says why."""


@dataclass(frozen=True)
class Moment:
    """What a memory holds at one time, so that a question can be about that time. It is past once
    the memory is compressed."""

    compressions: int
    visible: int
    units: int
    highest: int
    pending: tuple[Seen, ...]
    span: tuple[float, float]


@dataclass(frozen=True)
class Prompt:
    """What is prefilled: embeddings `[tokens, hidden]` at positions `[axes, tokens]`."""

    embeddings: Tensor
    positions: Tensor


def fit_turns(
    adapter: FamilyAdapter, turns: list[Turn], question: str, instructions: str, room: int
) -> tuple[list[int], int]:
    """The token ids behind the visual tokens, at most `room`, with as many of the latest turns as
    fit, and how many those are. Raises QuestionError where the question alone does not fit."""
    for forgotten in range(len(turns) + 1):
        kept = turns[forgotten:]
        _, ids = adapter.conversation(kept, question, instructions)
        if len(ids) <= room:
            return ids, len(kept)
    said = len(adapter.tokenizer(question, add_special_tokens=False).input_ids)
    raise QuestionError(
        f"the question has {said} tokens; at most {max(0, room - (len(ids) - said))} fit beside "
        "its answer"
    )


def plan_prompt(
    adapter: FamilyAdapter,
    timeline: Timeline,
    prefix: int,
    ids: list[int],
    grid: Grid,
    moment: Moment,
) -> Callable[[], Prompt]:
    """What will be prefilled behind `prefix` tokens and the memory of `moment`: a unit that was not
    full yet (its last frame repeated, as `transformers` pads), what closes the video, and the text
    of `ids`. Positions are settled now, while the memory is as the question finds it; the vision
    tower runs later."""
    frames, highest = list(moment.pending), moment.highest
    positions, around = [], Around([], [])
    if frames:
        frames = frames + frames[-1:] * (adapter.frames_per_unit - len(frames))
        times = [time for _, time in frames]
        around, placed = timeline.place(moment.units, times, highest, grid)
        positions.append(placed)
        highest = max(highest, int(placed.max()))
    text = torch.cat((adapter.closing(), adapter.embed(ids)))
    start = adapter.text_start(prefix, highest, grid)
    positions.append(adapter.text_positions(start, len(text)))

    def make_prompt() -> Prompt:
        seen = text[:0]
        if frames:
            pixels = torch.stack([frame for frame, _ in frames])
            visual = adapter.encode(pixels[None], grid)[0]
            seen = adapter.unit_embeddings(visual, around)
        return Prompt(torch.cat((seen, text)), torch.cat(positions, dim=1))

    return make_prompt
