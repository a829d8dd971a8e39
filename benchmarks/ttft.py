"""Time to first token after 1 to 60 minutes of stream, and the time to prefill it all again.

The clock is simulated: frames come one a second by their timestamps, as fast as they are taken.
Beside each point stands what the same model needs without a memory: encode every frame of the
span again, prefill them with the question, and choose one token.
"""

import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model_worker.decoding import Sampling
from model_worker.engine import Engine
from model_worker.families.base import FamilyAdapter, Grid
from model_worker.session import Session
from model_worker.settings import SHIPPED_MODEL

DESCRIPTION = "time to first token by the length of the stream, beside prefilling it again"

QUESTION = "what is it now?"

_VISION_BATCH = 64  # frames


def run(
    model: str | Path = SHIPPED_MODEL,
    minutes: tuple[int, ...] = (1, 5, 20, 60),
    budget_tokens: int | None = None,
    repeats: int = 15,
    threads: int | None = None,
) -> dict[str, Any]:
    """Medians over `repeats` questions a point; prefilling again is timed once a point."""
    engine = Engine.load(model, threads=threads)
    session = engine.open_session(budget_tokens=budget_tokens)
    frames = _pictures(engine)
    points: list[dict[str, float]] = []
    seen = 0
    watch_seconds = 0.0
    for minute in minutes:
        start = time.perf_counter()
        while seen < minute * 60:
            count = min(8, minute * 60 - seen)
            stamps = [float(second) for second in range(seen, seen + count)]
            session.watch_many([frames[int(t) % len(frames)] for t in stamps], stamps)
            seen += count
        watch_seconds += time.perf_counter() - start
        _first_token(session)  # warm
        ttft = statistics.median(_first_token(session) for _ in range(repeats))
        points.append(
            {
                "minutes": minute,
                "ttft_seconds": round(ttft, 5),
                "kv_bytes": session.memory.kv_bytes,
                "memory_tokens": session.memory.tokens,
            }
        )
    session.close()
    for point in points:
        again = _prefill_again(engine.adapter, frames, int(point["minutes"]) * 60)
        point["prefill_again_seconds"] = round(again, 4)
        point["times_faster"] = round(again / point["ttft_seconds"], 1)
    return {
        "benchmark": "ttft",
        "model": engine.name,
        "device": str(engine.device),
        "threads": torch.get_num_threads(),
        "budget_tokens": budget_tokens or engine.default_budget_tokens,
        "frames_per_second_watched": round(seen / watch_seconds, 1),
        "longest_over_shortest": round(points[-1]["ttft_seconds"] / points[0]["ttft_seconds"], 3),
        "points": points,
    }


def _pictures(engine: Engine) -> list[NDArray[np.uint8]]:
    """A minute of coarse noise; what is on them does not change how long anything takes."""
    random = np.random.default_rng(0)
    width, height = engine.frame_size or (336, 336)
    coarse = random.integers(0, 256, (60, -(-height // 8), -(-width // 8), 3), dtype=np.uint8)
    return [np.kron(one, np.ones((8, 8, 1), np.uint8))[:height, :width] for one in coarse]


def _first_token(session: Session) -> float:
    start = time.perf_counter()
    answer = session.ask(QUESTION, Sampling(max_tokens=4))
    while answer.completion_tokens == 0 and answer.step() is not None:
        pass
    seconds = time.perf_counter() - start
    answer.cancel()
    return seconds


@torch.no_grad()
def _prefill_again(adapter: FamilyAdapter, frames: list[NDArray[np.uint8]], count: int) -> float:
    """Seconds from pixel values to the first token's logits, with `transformers` alone."""
    height, width = frames[0].shape[:2]
    grid = adapter.grid(width, height)
    pixels = [adapter.pixels(frame, grid) for frame in frames]
    prefix, suffix = adapter.conversation([], QUESTION)
    start = time.perf_counter()
    visual = _encode(adapter, grid, pixels, count)
    group, highest = adapter.frames_per_unit, len(prefix) - 1
    positions = [adapter.text_positions(0, len(prefix))]
    embeddings = [adapter.embed(prefix)]
    for unit, tokens in enumerate(visual.view(-1, grid.tokens, visual.shape[-1])):
        seconds = [float(unit * group + frame) for frame in range(group)]
        passed = adapter.time_position(unit, seconds[0], grid)
        first = highest + 1 if passed is None else len(prefix) + passed
        around = adapter.unit_text(unit, seconds)
        lengths = len(around.before), len(around.after)
        positions.append(adapter.unit_positions(len(prefix), first, grid, *lengths))
        embeddings.append(adapter.unit_embeddings(tokens, around))
        highest = int(positions[-1].max())
    text = torch.cat((adapter.closing(), adapter.embed(suffix)))
    positions.append(
        adapter.text_positions(adapter.text_start(len(prefix), highest, grid), len(text))
    )
    joined = torch.cat((*embeddings, text))
    hidden = adapter.forward(joined, torch.cat(positions, dim=1), None)
    adapter.logits(hidden[-1:]).argmax()
    return time.perf_counter() - start


def _encode(adapter: FamilyAdapter, grid: Grid, pixels: list[Tensor], count: int) -> Tensor:
    """`[tokens, hidden]` of the first `count` frames of the repeated minute."""
    group = adapter.frames_per_unit
    parts = []
    for start in range(0, count, _VISION_BATCH):
        batch = [pixels[i % len(pixels)] for i in range(start, min(start + _VISION_BATCH, count))]
        stacked = torch.stack(batch)
        parts.append(adapter.encode(stacked.view(-1, group, *stacked.shape[1:]), grid))
    return torch.cat(parts).flatten(0, 1)
