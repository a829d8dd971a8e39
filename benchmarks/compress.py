"""One compression pass at the shapes of Qwen2-VL-7B, against a straightforward pass and a copy.

28 layers, 4 KV heads, head_dim 128, 32 frames of 140 tokens to 24 frames, fp32. The
straightforward pass treats one layer after the other, forms the
`[heads, recent, past, patches, head_dim]` product of which TaR takes the mean, and concatenates
new tensors. The plain copy moves the bytes that any pass must read (all keys and values, for the
scores) and write (the survivors).
"""

import statistics
import time
from collections.abc import Callable
from math import isqrt
from typing import Any

import torch
from torch import Tensor

from benchmarks.errors import OptionError
from model_worker.memory.cache import BoundedCache, CacheShape
from model_worker.memory.policies import POLICIES
from model_worker.memory.policies import make_policy as make
from model_worker.memory.policies.base import CompressionPolicy
from model_worker.memory.policies.infinipot_v import InfiniPotV
from model_worker.memory.policies.tokens import Layout

DESCRIPTION = "one compression pass: speed-up over a straightforward pass, times of a plain copy"


def run(
    layers: int = 28,
    kv_heads: int = 4,
    head_dim: int = 128,
    frames: int = 32,
    kept_frames: int = 24,
    recent_frames: int = 8,
    tokens_per_frame: int = 140,
    repeats: int = 5,
    policies: str | None = None,
    threads: int | None = None,
) -> dict[str, Any]:
    """Median seconds of each pass over `repeats` runs, taken in turn, and their ratios.

    `policies`: names with commas between them, or "all", whose passes and arrivals are timed, too;
    what the model takes to read proxy questions is not among it. Raises OptionError.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    dropping = [name for name in POLICIES if POLICIES[name].drops]
    wanted = dropping if policies == "all" else (policies or "").split(",") if policies else []
    for name in wanted:
        if name not in dropping:
            raise OptionError(f"{name!r} is no policy with passes; known: {', '.join(dropping)}")
    shape = CacheShape(
        layers=layers,
        kv_heads=kv_heads,
        head_dim=head_dim,
        prefix=16,
        budget=kept_frames * tokens_per_frame,
        block=(frames - kept_frames) * tokens_per_frame,
        scratch=64,
    )
    cache = BoundedCache(shape, torch.float32, torch.device("cpu"))
    recent = recent_frames * tokens_per_frame
    out = torch.zeros(layers, 2, kv_heads, shape.budget, head_dim)
    timings: dict[str, list[float]] = {"ours": [], "reference": [], "copy": []}
    with torch.no_grad():
        for _ in range(repeats + 1):  # the first is to warm up
            _fill(cache, frames, tokens_per_frame)
            timings["copy"].append(_seconds(_plain_copy(cache, out)))
            timings["reference"].append(
                _seconds(lambda: _straightforward(cache, recent, tokens_per_frame))
            )
            timings["ours"].append(_seconds(lambda: cache.compress(InfiniPotV(), recent)))
    ours, reference, copy = (
        statistics.median(timings[name][1:]) for name in ("ours", "reference", "copy")
    )
    others = [_cost(make(name), shape, recent, tokens_per_frame, repeats) for name in wanted]
    return {
        "benchmark": "compress",
        "speedup_over_reference": round(reference / ours, 2),
        "times_plain_copy": round(ours / copy, 2),
        "seconds": round(ours, 4),
        "reference_seconds": round(reference, 4),
        "plain_copy_seconds": round(copy, 4),
        "shape": {
            "layers": layers,
            "kv_heads": kv_heads,
            "head_dim": head_dim,
            "frames": frames,
            "kept_frames": kept_frames,
            "recent_frames": recent_frames,
            "tokens_per_frame": tokens_per_frame,
            "dtype": "float32",
        },
        "repeats": repeats,
        "threads": torch.get_num_threads(),
    } | ({"policies": others} if others else {})


def _cost(
    policy: CompressionPolicy,
    shape: CacheShape,
    recent: int,
    tokens_per_frame: int,
    repeats: int,
) -> dict[str, Any]:
    """Median seconds of a pass, and of marking a frame that comes."""
    cache = BoundedCache(shape, torch.float32, torch.device("cpu"), marks=policy.marks)
    rows = next(
        side for side in range(isqrt(tokens_per_frame), 0, -1) if tokens_per_frame % side == 0
    )
    half = shape.head_dim // 2
    layout = Layout(
        rows,
        tokens_per_frame // rows,
        1e6 ** (-torch.arange(half) / half),
        torch.zeros(tokens_per_frame, half),
    )
    looks = (len(policy.proxies), shape.layers, shape.kv_heads, shape.cap)
    attention = torch.rand(looks, generator=torch.Generator().manual_seed(0))
    recent = min(
        recent, policy.most_recent_tokens(shape.budget) // tokens_per_frame * tokens_per_frame
    )
    passes, arrivals = [], []
    for _ in range(repeats):
        _fill(cache, shape.cap // tokens_per_frame, tokens_per_frame)
        if policy.marks:
            cache.arrive(policy, shape.cap // tokens_per_frame * tokens_per_frame, layout)
            arrivals.append(_seconds(lambda: cache.arrive(policy, tokens_per_frame, layout)))
        passes.append(_seconds(lambda: cache.compress(policy, recent, attention, layout)))
    return {
        "policy": policy.name,
        "pass_seconds": round(statistics.median(passes), 4),
        "arrival_seconds": round(statistics.median(arrivals or [0.0]), 4),
    }


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _fill(cache: BoundedCache, frames: int, tokens_per_frame: int) -> None:
    generator = torch.Generator().manual_seed(0)
    cache.visual_length = 0
    for layer in cache.buffer:
        layer.normal_(generator=generator)
    patches = torch.arange(tokens_per_frame).repeat(frames)
    times = torch.arange(frames).repeat_interleave(tokens_per_frame)
    cache.commit_visual(patches, times, torch.arange(frames * tokens_per_frame))


def _plain_copy(cache: BoundedCache, out: Tensor) -> Callable[[], object]:
    """Reads every key and value once and writes as many bytes as survive, to `out`."""
    visual = cache.buffer[:, :, :, cache.shape.prefix :]
    length, budget = cache.visual_length, cache.shape.budget

    def copy() -> None:
        for layer, survivors in zip(visual, out, strict=True):
            survivors.copy_(layer[:, :, :budget])
            layer[:, :, budget:length].sum()  # read, but not written

    return copy


def _straightforward(
    cache: BoundedCache, recent_tokens: int, tokens_per_frame: int
) -> list[tuple[Tensor, Tensor]]:
    """The pass as it is usually written, for a regular grid; returns new tensors by layer."""
    budget = cache.shape.budget
    by_value = round(0.5 * budget)
    compressed = []
    for keys, values in zip(cache.visual_keys, cache.visual_values, strict=True):
        heads, tokens, head_dim = keys.shape
        older = tokens - recent_tokens
        unit = keys / (keys.norm(dim=-1, keepdim=True) + 1e-9)
        past = unit[:, :older].view(heads, 1, -1, tokens_per_frame, head_dim)
        recent = unit[:, older:].view(heads, -1, 1, tokens_per_frame, head_dim)
        novelty = -(past * recent).sum(-1).mean(1).flatten(1)
        taken = torch.zeros_like(novelty, dtype=torch.bool)
        taken.scatter_(1, novelty.topk(budget - by_value - recent_tokens).indices, True)
        norms = values[:, :older].norm(dim=-1).masked_fill(taken, -1.0)
        taken.scatter_(1, norms.topk(by_value).indices, True)
        rows = taken.nonzero()[:, 1].view(heads, -1, 1).expand(-1, -1, head_dim)
        compressed.append(
            (
                torch.cat((keys[:, :older].gather(1, rows), keys[:, older:]), dim=1),
                torch.cat((values[:, :older].gather(1, rows), values[:, older:]), dim=1),
            )
        )
    return compressed
