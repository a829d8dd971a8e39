"""The witness takes down the attention that a layer gives."""

import pytest
import torch

from model_worker.engine import Engine
from model_worker.memory.attention import Witness
from model_worker.memory.cache import BoundedCache, CacheShape
from model_worker.proxy import attention_of
from tests.model_worker.watching import Frames, watched

SHAPE = CacheShape(layers=2, kv_heads=2, head_dim=8, prefix=3, budget=12, block=8, scratch=10)


def test_is_the_mean_over_rows_and_the_heads_of_a_group() -> None:
    cache = BoundedCache(SHAPE, torch.float32, torch.device("cpu"))
    cache.buffer.normal_(generator=torch.Generator().manual_seed(0))
    places = torch.arange(12)
    cache.commit_visual(places % 4, places // 4, places)
    segment = cache.begin_scratch(5, 12)
    witness = Witness(segment, (3, 15), first_row=2)
    query = torch.randn(1, 4, 5, 8)
    plain = witness.attend(1, query, 0.5)
    keys, values = cache.buffer[1]
    seen = [*range(15), *range(23, 28)]
    expected = torch.zeros(2, 12)
    for head in range(4):
        for row in range(5):
            visible = seen[: 15 + row + 1]
            weights = (keys[head // 2, visible] @ query[0, head, row] * 0.5).softmax(0)
            output = weights @ values[head // 2, visible]
            assert torch.allclose(plain[0, row, head], output, atol=1e-5)
            if row >= 2:
                expected[head // 2] += weights[3:15] / 6
    assert torch.allclose(witness.attention[1], expected, atol=1e-6)
    assert not witness.attention[0].any()


@pytest.mark.parametrize("family", ["llava_onevision", "qwen3_vl", "smolvlm"])
def test_questions_leave_nothing_behind(
    family: str, engines: dict[str, Engine], frames: Frames
) -> None:
    """The template alone and a question look at different things, and leave nothing behind."""
    engine = engines[family]
    session = watched(engine, frames[:8], budget=600)
    cache, grid = session.cache, session._grid
    assert grid is not None
    before = cache.buffer[:, :, :, : SHAPE.prefix + cache.visual_length].clone()
    looked = attention_of(
        ("", "What is there?"), engine.adapter, cache, grid, session._timeline.highest, ""
    )
    assert looked is not None
    assert looked.shape == (2, cache.shape.layers, cache.shape.kv_heads, cache.visual_length)
    assert not torch.allclose(looked[0], looked[1])
    assert cache.scratch_length == 0
    after = cache.buffer[:, :, :, : SHAPE.prefix + cache.visual_length]
    assert torch.equal(after, before)
    assert attention_of((), engine.adapter, cache, grid, 0, "") is None
