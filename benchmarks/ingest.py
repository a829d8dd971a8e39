"""What the engine adds to a frame: its time against the bare forward's and the products' alone.

Three measures, taken in turn round by round, with a memory that is full; a compression pass is
shared out among the frames from one to the next:

- the engine: `Session.watch_many`, a unit of frames a call, from arrays of bytes on;
- the bare forward: `transformers` alone, vision tower and decoder on the very tensors that the
  engine gave them, with a cache of as many tokens, which goes back where the engine's does;
- the floor: the matrix products of that forward, one after the other, and nothing else.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForImageTextToText, DynamicCache

from benchmarks.products import Products, prepare, shapes
from benchmarks.random_model import save_random_qwen2_vl
from model_worker.engine import Engine
from model_worker.memory.cache import BoundedCache
from model_worker.session import Frame, Session
from model_worker.settings import SHIPPED_MODEL

DESCRIPTION = "time per frame of the engine, the bare forward and the matrix products alone"

_TOWERS = ("get_video_features", "get_image_features")
_OURS = ("packed", "past_key_values", "attention_mask", "use_cache")  # not the bare forward's


def run(
    model: str | Path = SHIPPED_MODEL,
    rounds: int = 15,
    large: dict[str, int] | None = None,
    large_side: int = 224,
    large_rounds: int = 3,
    large_units: int = 6,
    threads: int | None = None,
) -> dict[str, Any]:
    """Medians by model: `model`, whose figures also stand at the top, and a random Qwen2-VL of the
    sizes `large` (see `save_random_qwen2_vl`) on frames of `large_side` pixels square, of which a
    round has `large_units` units; one of `model` goes from one compression pass to the next.

    `threads` None is the engine's choice for each model.
    """
    usual = torch.get_num_threads()
    first = _measure(Path(model), None, rounds, None, threads)
    torch.set_num_threads(usual)
    with tempfile.TemporaryDirectory() as folder:
        save_random_qwen2_vl(Path(folder), **(large or {}))
        second = _measure(Path(folder), large_side, large_rounds, large_units, threads)
    second["model"] = "random qwen2_vl"
    torch.set_num_threads(usual)
    top = {name: value for name, value in first.items() if name != "gemms_per_round"}
    return {"benchmark": "ingest", **top, "models": [first, second]}


def _measure(
    folder: Path, side: int | None, rounds: int, units: int | None, threads: int | None
) -> dict[str, Any]:
    engine = Engine.load(folder, device="cpu", threads=threads)
    adapter = engine.adapter
    width, height = (side, side) if side else engine.frame_size or (224, 224)
    unit = adapter.unit_tokens(adapter.grid(width, height))
    session = engine.open_session(budget_tokens=24 * unit)
    watch = _Watch(session, adapter.frames_per_unit, width, height)
    memory = session.memory
    while session.memory.tokens + unit <= memory.cap_tokens:
        watch.units(1)
    cycle = (memory.cap_tokens - memory.budget_tokens) // unit  # units from pass to pass
    units = min(units or cycle, cycle)
    bare = _BareForward(folder, _record(engine, watch, units))
    with Products() as products:
        bare.forward()
    floor = prepare(products.found)
    clocks = [Clock(adapter, "pixels"), Clock(adapter, "encode"), Clock(adapter, "forward")]
    clocks += [Clock(bare, "see"), Clock(bare, "read")]
    passes = Clock(BoundedCache, "compress")
    whole: dict[str, list[float]] = {"engine": [], "bare": [], "floor": []}

    def watch_round() -> None:
        bare.calls = _record(engine, watch, units)

    floor()  # the others are warm: both have run to be taken down
    before = session.memory.compressions
    for _ in range(rounds):
        whole["engine"].append(_seconds(watch_round))
        whole["bare"].append(_seconds(bare.forward))
        whole["floor"].append(_seconds(floor))
        for clock in (*clocks, passes):
            clock.lap()
    for clock in (*clocks, passes):
        clock.remove()
    done = max(1, session.memory.compressions - before)
    compression = round(sum(passes.laps) / done / (cycle * adapter.frames_per_unit), 6)
    whole["engine"] = [each - lap for each, lap in zip(whole["engine"], passes.laps, strict=True)]
    session.close()
    frames = units * adapter.frames_per_unit

    def per_frame(laps: list[float]) -> float:
        return round(statistics.median(laps) / frames, 6)

    ours, theirs, least = (per_frame(laps) for laps in whole.values())
    ours = round(ours + compression, 6)
    pixels, vision, decoder, bare_vision, bare_decoder = (per_frame(c.laps) for c in clocks)
    return {
        "model": engine.name,
        "parameters": adapter.model.num_parameters(),
        "frame": [width, height],
        "tokens_per_unit": unit,
        "frames_per_unit": adapter.frames_per_unit,
        "cached_tokens": [bare.calls[0].cached, bare.calls[-1].cached],
        "threads": torch.get_num_threads(),
        "rounds": rounds,
        "frames_per_round": frames,
        "seconds_per_frame": ours,
        "bare_forward_seconds_per_frame": theirs,
        "gemm_floor_seconds_per_frame": least,
        "engine_over_bare_forward": round(ours / theirs, 3),
        "engine_over_gemm_floor": round(ours / least, 3),
        "gflop_per_frame": round(sum(each.flops for each in products.found) / frames / 1e9, 4),
        "engine_parts": {
            "pixels": pixels,
            "vision": vision,
            "decoder": decoder,
            "compression": compression,
            "rest": round(ours - pixels - vision - decoder - compression, 6),
        },
        "bare_forward_parts": {"vision": bare_vision, "decoder": bare_decoder},
        "gemms_per_round": shapes(products.found),
    }


class _Watch:
    """Feeds a session a frame a second, a unit a call."""

    def __init__(self, session: Session, group: int, width: int, height: int) -> None:
        random = np.random.default_rng(0)
        noise = random.integers(0, 256, (16, height, width, 3), dtype=np.uint8)
        self._frames: list[Frame] = list(noise)
        self._session = session
        self._group = group
        self._seen = 0

    def units(self, count: int) -> None:
        for _ in range(count):
            times = range(self._seen, self._seen + self._group)
            frames = [self._frames[time % len(self._frames)] for time in times]
            self._session.watch_many(frames, [float(time) for time in times])
            self._seen += self._group


@dataclass
class _Call:
    """What the engine gave the model for one unit."""

    cached: int  # tokens in the cache before
    tower: str  # the method's name
    seen: tuple[tuple[Any, ...], dict[str, Any]]
    read: dict[str, Any]


def _record(engine: Engine, watch: _Watch, units: int) -> list[_Call]:
    """The calls of `units` units, with the compression pass where one is due."""
    model = engine.adapter.model
    seen: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
    calls: list[_Call] = []

    def reads(_: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        name, positional, named = seen.pop()
        read = {key: value for key, value in kwargs.items() if key not in _OURS}
        calls.append(_Call(kwargs["packed"].segments[0].at, name, (positional, named), read))

    def recorder(name: str) -> Callable[..., Any]:
        original = getattr(model, name)

        def see(*args: Any, **kwargs: Any) -> Any:
            seen.append((name, args, kwargs))
            return original(*args, **kwargs)

        return see

    hook = model.get_decoder().register_forward_pre_hook(reads, with_kwargs=True)
    recorders = {name: recorder(name) for name in _TOWERS if hasattr(model, name)}
    vars(model).update(recorders)
    watch.units(units)
    hook.remove()
    for name in recorders:
        delattr(model, name)
    return calls


class _BareForward:
    """The recorded calls on a model that `transformers` has loaded and nobody has touched."""

    def __init__(self, folder: Path, calls: list[_Call]) -> None:
        self.calls = calls
        self._model = AutoModelForImageTextToText.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="sdpa"
        ).eval()
        config = self._model.get_decoder().config
        head_dim = getattr(config, "head_dim", None)
        head_dim = head_dim or config.hidden_size // config.num_attention_heads
        self._cache = DynamicCache()
        cached = 1, config.num_key_value_heads, calls[0].cached, head_dim
        for layer in range(config.num_hidden_layers):
            self._cache.update(torch.randn(cached), torch.randn(cached), layer)

    @torch.no_grad()
    def forward(self) -> None:
        for call in self.calls:
            grown = self._cache.get_seq_length() - call.cached
            if grown:
                self._cache.crop(-grown)
            assert self._cache.get_seq_length() == call.cached
            self.see(call)
            self.read(call)

    def see(self, call: _Call) -> None:
        args, kwargs = call.seen
        getattr(self._model, call.tower)(*args, **kwargs)

    def read(self, call: _Call) -> None:
        self._model.get_decoder()(**call.read, past_key_values=self._cache, use_cache=True)


class Clock:
    """Counts the seconds that are spent in one method of a class or an object."""

    def __init__(self, owner: object, name: str) -> None:
        self.laps: list[float] = []
        self._owner, self._name = owner, name
        self._own = vars(owner).get(name)
        self._seconds = 0.0
        method = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            result = method(*args, **kwargs)
            self._seconds += time.perf_counter() - start
            return result

        setattr(owner, name, timed)

    def lap(self) -> None:
        """What was counted since the last lap becomes one of `laps`."""
        self.laps.append(self._seconds)
        self._seconds = 0.0

    def remove(self) -> None:
        """The method is as it was."""
        delattr(self._owner, self._name)
        if self._own is not None:
            setattr(self._owner, self._name, self._own)


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
