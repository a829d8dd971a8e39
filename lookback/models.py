"""The model families, and what checkpoints of them keep of a stream: arithmetic, no weights.

How long a session remembers is said of a memory in which every token is kept: the newest
`budget` tokens, frame after frame. Compression spends the same tokens on a longer span at lower
density, so the span is what a session remembers at least.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import torch
import transformers
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from lookback.published import PUBLISHED, Published
from model_worker.checkpoint import ModelError, describe_checkpoint, read_model_type, resolve_folder
from model_worker.engine import Engine
from model_worker.families import find_family
from model_worker.settings import SHIPPED_MODEL

BUDGET_UNITS: Final = 24
"""A worker's default, in units of frames."""
DTYPES: Final = {
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float32": torch.float32,
}


@dataclass(frozen=True)
class Family:
    """A family's name, and how its models know when a frame was: by order, position or words."""

    title: str
    time: str


FAMILIES: Final = {
    "qwen2_vl": Family("Qwen2-VL", "order"),
    "qwen2_5_vl": Family("Qwen2.5-VL", "positions in seconds"),
    "qwen3_vl": Family("Qwen3-VL", "words: <3.5 seconds>"),
    "llava_onevision": Family("LLaVA-OneVision", "order"),
    "llava_next_video": Family("LLaVA-NeXT-Video", "order"),
    "smolvlm": Family("SmolVLM2", "words: Frame from 01:23:"),
    "internvl": Family("InternVL3", "words: Frame7:"),
}


@dataclass(frozen=True)
class Row:
    """What a checkpoint keeps. `exact` where it was read from the checkpoint itself: then tokens
    are all of a unit, words among them, and kv_bytes_per_session all that a session reserves.
    Otherwise they are the visual tokens and the budget's bytes."""

    name: str
    family: str
    model_type: str
    exact: bool
    time: str
    frames_per_unit: int
    tokens_per_unit: int
    tokens_per_frame: float
    layers: int
    kv_heads: int
    head_dim: int
    kv_bytes_per_token: int
    budget_tokens: int
    frames_remembered: int
    seconds_remembered: float
    kv_bytes_per_session: int


def run(
    models: Sequence[str],
    *,
    budget: int | None,
    fps: float,
    dtype: str,
    revision: str | None,
    json_wanted: bool,
) -> None:
    """Write a table or JSON to stdout: of these checkpoints, else of the families.

    Raises ModelError, and ValueError for figures that cannot be.
    """
    if fps <= 0:
        raise ValueError("--fps is above 0: how many frames a second a session watches")
    if budget is not None and budget < 1:
        raise ValueError("--budget is at least 1 token")
    if dtype not in DTYPES:
        raise ValueError(f"unknown dtype {dtype!r}; known: {', '.join(DTYPES)}")
    transformers.utils.logging.disable_progress_bar()
    if models:
        rows = [inspect(model, budget, fps, dtype, revision) for model in models]
    else:
        rows = [_shipped(budget, fps, dtype)]
        rows += [published(known, budget, fps, dtype) for known in PUBLISHED]
    if json_wanted:
        report = {"fps": fps, "dtype": dtype, "models": [asdict(row) for row in rows]}
        print(json.dumps(report, indent=2))
    else:
        show(rows, fps, dtype, Console(file=sys.stdout))


def inspect(model: str, budget: int | None, fps: float, dtype: str, revision: str | None) -> Row:
    """A checkpoint's row from its config and tokenizer.

    Raises ModelError, and ValueError for a budget that it cannot have.
    """
    folder = resolve_folder(model, revision, weights=False)
    family = find_family(read_model_type(folder))
    adapter = family(describe_checkpoint(folder, DTYPES[dtype]))
    engine = Engine(adapter, folder.name if Path(model).is_dir() else model)
    tokens = budget or engine.default_budget_tokens
    per_token = adapter.layers * 2 * adapter.kv_heads * adapter.head_dim * adapter.dtype.itemsize
    known = FAMILIES[adapter.config.model_type]
    unit = adapter.most_tokens_per_unit
    if tokens // unit * adapter.time_stride(unit) > adapter.longest_position:
        raise ValueError(
            f"{engine.name}: a budget of {tokens} tokens is more than the model's "
            f"{adapter.longest_position} positions hold: lower --budget"
        )
    frames = _frames(tokens, unit, adapter.frames_per_unit)
    return Row(
        name=engine.name,
        family=known.title,
        model_type=adapter.config.model_type,
        exact=True,
        time=known.time,
        frames_per_unit=adapter.frames_per_unit,
        tokens_per_unit=unit,
        tokens_per_frame=unit / adapter.frames_per_unit,
        layers=adapter.layers,
        kv_heads=adapter.kv_heads,
        head_dim=adapter.head_dim,
        kv_bytes_per_token=per_token,
        budget_tokens=tokens,
        frames_remembered=frames,
        seconds_remembered=frames / fps,
        kv_bytes_per_session=engine.session_bytes(tokens),
    )


def _shipped(budget: int | None, fps: float, dtype: str) -> Row:
    """lookback-mini's row, of its own budget where it cannot have this one."""
    try:
        return inspect(str(SHIPPED_MODEL), budget, fps, dtype, None)
    except ModelError:
        raise
    except ValueError:
        return inspect(str(SHIPPED_MODEL), None, fps, dtype, None)


def published(known: Published, budget: int | None, fps: float, dtype: str) -> Row:
    """A row from a config as it was published."""
    tokens = budget or BUDGET_UNITS * known.visual_tokens
    itemsize = DTYPES[dtype].itemsize
    per_token = known.layers * 2 * known.kv_heads * known.head_dim * itemsize
    frames = _frames(tokens, known.visual_tokens, known.frames_per_unit)
    return Row(
        name=known.name,
        family=FAMILIES[known.model_type].title,
        model_type=known.model_type,
        exact=False,
        time=FAMILIES[known.model_type].time,
        frames_per_unit=known.frames_per_unit,
        tokens_per_unit=known.visual_tokens,
        tokens_per_frame=known.visual_tokens / known.frames_per_unit,
        layers=known.layers,
        kv_heads=known.kv_heads,
        head_dim=known.head_dim,
        kv_bytes_per_token=per_token,
        budget_tokens=tokens,
        frames_remembered=frames,
        seconds_remembered=frames / fps,
        kv_bytes_per_session=tokens * per_token,
    )


def show(rows: Sequence[Row], fps: float, dtype: str, console: Console) -> None:
    """The families of these rows, the rows, and what the figures mean."""
    families = Table("family", "model_type", "unit", "knows time by", box=SIMPLE_HEAD)
    for model_type, row in {row.model_type: row for row in rows}.items():
        unit = f"{row.frames_per_unit} frame{'s' * (row.frames_per_unit > 1)}"
        families.add_row(row.family, model_type, unit, row.time)
    checkpoints = Table(box=SIMPLE_HEAD)
    checkpoints.add_column("checkpoint", overflow="fold")
    for column in ("tokens/frame", "KV/token", "budget", "span", "KV/session"):
        checkpoints.add_column(column, justify="right")
    for row in rows:
        more = "" if row.exact else "≥ "
        words = more if "words" in row.time else ""
        checkpoints.add_row(
            row.name,
            f"{words}{row.tokens_per_frame:.3g}",
            _bytes(row.kv_bytes_per_token),
            f"{row.budget_tokens}",
            f"{row.seconds_remembered:.0f} s",
            more + _bytes(row.kv_bytes_per_session),
        )
    console.print(families, checkpoints, sep="")
    console.print(
        f"KV memory in {dtype}; span: what a session remembers at {fps:g} fps with "
        "every token kept. Compression spreads the same tokens over a longer span, more thinly.",
        style="dim",
        highlight=False,
    )
    if not all(row.exact for row in rows):
        console.print(
            "≥: from the published config, without the words around frames and the room for a "
            "block of frames, question and answer. `lookback models FOLDER_OR_ID` counts them.",
            style="dim",
            highlight=False,
        )


def _frames(tokens: int, unit: int, frames_per_unit: int) -> int:
    return tokens // unit * frames_per_unit


def _bytes(size: float) -> str:
    for name in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {name}"
        size /= 1000
    return f"{size:.3g} GB"
