"""The ingest benchmark works at a small size, and counts the matrix products that there are."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from benchmarks import BENCHMARKS, ingest
from benchmarks.products import Product, Products, prepare, shapes
from benchmarks.random_model import save_random_qwen2_vl
from model_worker.engine import Engine
from training.checkpoint import build_model, build_tokenizer

TINY = {
    "layers": 2,
    "hidden": 32,
    "intermediate": 48,
    "heads": 2,
    "kv_heads": 1,
    "vision_layers": 1,
    "vision_hidden": 16,
    "vision_heads": 2,
    "patch": 4,
}


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("mini")
    tokenizer = build_tokenizer()
    build_model(tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return BENCHMARKS["ingest"](
        model=folder, rounds=2, large=TINY, large_side=96, large_rounds=2, large_units=4, threads=1
    )


def test_reports_a_record_for_each_model(figures: dict[str, Any]) -> None:
    first, second = figures["models"]
    assert second["model"] == "random qwen2_vl"
    assert second["frames_per_unit"] == 2 and second["tokens_per_unit"] == 144
    for record in (first, second):
        times = [
            record[f"{name}seconds_per_frame"] for name in ("", "bare_forward_", "gemm_floor_")
        ]
        assert min(times) > 0
        ratio = record["engine_over_bare_forward"]
        assert ratio == pytest.approx(times[0] / times[1], rel=0.05)
        parts = record["engine_parts"]
        assert sum(parts.values()) == pytest.approx(times[0], abs=1e-5)
        assert min(parts[name] for name in ("pixels", "vision", "decoder", "compression")) > 0
    assert figures["seconds_per_frame"] == first["seconds_per_frame"]


def test_the_bare_forward_has_as_many_tokens_before_it(figures: dict[str, Any]) -> None:
    first, _ = figures["models"]
    lowest, highest = first["cached_tokens"]
    assert highest - lowest == (first["frames_per_round"] - 1) * first["tokens_per_unit"]


def test_the_bare_forward_is_the_engines(tmp_path: Path) -> None:
    """With the engine's own keys and values in its cache it comes to the same hidden states."""
    torch.manual_seed(0)
    save_random_qwen2_vl(tmp_path, **TINY)
    engine = Engine.load(tmp_path, device="cpu", threads=1)
    session = engine.open_session()
    watch = ingest._Watch(session, 2, 32, 32)
    watch.units(3)
    hidden: list[torch.Tensor] = []
    decoder = engine.adapter.model.get_decoder()
    hook = decoder.register_forward_hook(lambda *call: hidden.append(call[2].last_hidden_state))
    (call,) = ingest._record(engine, watch, 1)
    hook.remove()
    bare = ingest._BareForward(tmp_path, [call])
    keys, values = engine.pool.buffer[:, :, None, :, : call.cached].unbind(1)
    for layer, cached in enumerate(bare._cache.layers):
        cached.keys, cached.values = keys[layer], values[layer]
    output = bare._model.get_decoder()(**call.read, past_key_values=bare._cache, use_cache=True)
    assert (output.last_hidden_state - hidden[0]).abs().max() < 1e-5


@torch.no_grad()
def test_counts_the_products_of_layers_and_attention() -> None:
    """Three tokens through 4 -> 6 -> 2, a picture of 2 x 3 patches, two heads over five keys."""
    layers = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2, bias=False))
    patches = nn.Conv2d(3, 7, kernel_size=2, stride=2)
    query, keys = torch.randn(1, 2, 3, 8), torch.randn(1, 2, 5, 8)
    with Products() as products:
        layers(torch.randn(3, 4))
        patches(torch.randn(1, 3, 4, 6))
        torch.nn.functional.scaled_dot_product_attention(query, keys, keys)
        torch.bmm(torch.randn(5, 1, 2), torch.randn(5, 2, 3))
    expected = [(1, 3, 4, 6), (1, 3, 6, 2), (1, 6, 12, 7), (2, 3, 8, 5), (2, 3, 5, 8), (5, 1, 2, 3)]
    assert [(each.batch, each.m, each.k, each.n) for each in products.found] == expected
    assert sum(each.flops for each in products.found) == 2 * (72 + 36 + 504 + 240 + 240 + 30)
    assert products.found[0].right is not None
    assert products.found[0].right.data_ptr() == layers[0].weight.data_ptr()
    prepare(products.found)()


def test_shapes_are_counted_together() -> None:
    found = [Product(1, 2, 3, 4), Product(1, 9, 9, 9), Product(1, 2, 3, 4)]
    assert shapes(found) == [
        {"batch": 1, "m": 9, "k": 9, "n": 9, "times": 1},
        {"batch": 1, "m": 2, "k": 3, "n": 4, "times": 2},
    ]
