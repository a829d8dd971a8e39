"""Qwen3-VL's positions and deep features, against those of `transformers`."""

import pytest
import torch

from model_worker.engine import Engine
from model_worker.families.base import Grid


@pytest.mark.parametrize(("rows", "columns", "units"), [(2, 3, 1), (4, 2, 3), (2, 2, 12)])
def test_positions_are_those_of_the_model(
    engines: dict[str, Engine], rows: int, columns: int, units: int
) -> None:
    adapter = engines["qwen3_vl"].adapter
    grid = Grid(rows, columns, rows * 16, columns * 16)
    prefix, video = 5, adapter.config.video_token_id
    ids, parts = [0] * prefix, [adapter.text_positions(0, prefix)]
    for unit in range(units):
        text = adapter.unit_text(unit, [2.0 * unit, 2.0 * unit + 1])
        ids += [*text.before, *[video] * grid.tokens, *text.after]
        start = int(parts[-1].max()) + 1
        lengths = len(text.before), len(text.after)
        parts.append(adapter.unit_positions(prefix, start, grid, *lengths))
    parts.append(adapter.text_positions(adapter.text_start(0, int(parts[-1].max()), grid), 4))
    tensor = torch.tensor([ids + [0] * 4])
    expected, _ = adapter.model.model.get_rope_index(
        input_ids=tensor,
        mm_token_type_ids=(tensor == video).int() * 2,
        video_grid_thw=torch.tensor([[units, rows * 2, columns * 2]]),
    )
    assert torch.equal(torch.cat(parts, dim=1), expected[:, 0])


@torch.no_grad()
def test_deep_features_reach_the_decoder(engines: dict[str, Engine]) -> None:
    adapter = engines["qwen3_vl"].adapter
    grid = adapter.grid(32, 32)
    visual = adapter.encode(torch.randn(1, 2, 3, 32, 32), grid)[0]
    positions = adapter.visual_positions(0, 0, grid)
    hidden = adapter.forward(visual, positions, None)
    for layer in (1, 2):
        without = visual.clone()
        without[:, 48 * layer : 48 * (layer + 1)] = 0
        assert not torch.allclose(adapter.forward(without, positions, None), hidden)
    assert adapter.embed([1, 2]).shape == (2, 48 * 3)
    assert not adapter.embed([1, 2])[:, 48:].any()


def test_words_are_the_time_between_the_first_and_the_last_frame(
    engines: dict[str, Engine],
) -> None:
    adapter = engines["qwen3_vl"].adapter
    text = adapter.unit_text(3, [12.0, 13.0])
    assert adapter.tokenizer.decode(text.before) == "<12.5 seconds><|vision_start|>"
    assert adapter.tokenizer.decode(text.after) == "<|vision_end|>"
