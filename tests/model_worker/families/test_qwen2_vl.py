"""Qwen2-VL's and Qwen2.5-VL's pictures and positions, against those of `transformers`."""

import numpy as np
import pytest
import torch
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from model_worker.engine import Engine
from model_worker.families.base import Grid
from model_worker.families.qwen2_vl import Qwen2VL

SIZES = [(32, 32), (64, 48), (96, 160)]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_patches_are_those_of_the_processor(
    engines: dict[str, Engine], height: int, width: int
) -> None:
    adapter = engines["qwen2_vl"].adapter
    assert isinstance(adapter, Qwen2VL)
    frame = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    processor = Qwen2VLImageProcessorPil(
        patch_size=8, size={"shortest_edge": 1024, "longest_edge": 40_000}
    )
    expected = processor(frame, return_tensors="pt")
    grid = adapter.grid(width, height)
    assert expected["image_grid_thw"].tolist() == [[1, grid.rows * 2, grid.columns * 2]]
    pixels = adapter.pixels(frame, grid)
    patches = adapter.patches(torch.stack((pixels, pixels))[None], grid)
    assert (patches - expected["pixel_values"]).abs().max() < 1e-5


@pytest.mark.parametrize("family", ["qwen2_vl", "qwen2_5_vl"])
@pytest.mark.parametrize(("rows", "columns", "units"), [(2, 3, 1), (4, 2, 3), (2, 2, 9)])
def test_positions_are_those_of_the_model(
    engines: dict[str, Engine], family: str, rows: int, columns: int, units: int
) -> None:
    adapter = engines[family].adapter
    grid = Grid(rows, columns, rows * 16, columns * 16)
    video, prefix, suffix = [adapter.config.video_token_id] * units * grid.tokens, 5, 4
    ids = torch.tensor([[0] * prefix + video + [0] * suffix])
    seconds = 1.7  # a unit
    more = {"second_per_grid_ts": torch.tensor([seconds])} if family == "qwen2_5_vl" else {}
    expected, _ = adapter.model.model.get_rope_index(
        input_ids=ids,
        mm_token_type_ids=(ids == adapter.config.video_token_id).int() * 2,
        video_grid_thw=torch.tensor([[units, rows * 2, columns * 2]]),
        **more,
    )
    parts = [adapter.text_positions(0, prefix)]
    for unit in range(units):
        start = prefix + adapter.time_position(unit, unit * seconds, grid)
        parts.append(adapter.visual_positions(prefix, start, grid))
    start = adapter.text_start(prefix, int(torch.cat(parts, dim=1).max()), grid)
    parts.append(adapter.text_positions(start, suffix))
    assert torch.equal(torch.cat(parts, dim=1), expected[:, 0])


@torch.no_grad()
@pytest.mark.parametrize("family", ["qwen2_vl", "qwen2_5_vl"])
def test_units_are_encoded_apart(engines: dict[str, Engine], family: str) -> None:
    adapter = engines[family].adapter
    grid = adapter.grid(64, 48)
    units = torch.randn(3, 2, 3, grid.height, grid.width)
    together = adapter.encode(units, grid)
    assert together.shape == (3, 12, 48)
    for i in range(3):
        assert torch.allclose(adapter.encode(units[i : i + 1], grid)[0], together[i], atol=1e-4)


def test_frames_stay_within_the_largest_unit(engines: dict[str, Engine]) -> None:
    engine = engines["qwen2_vl"]
    for width, height in ((16, 16), (640, 480), (1080, 1920), (3840, 2160), (2000, 20)):
        grid = engine.adapter.grid(width, height)
        assert 1 <= grid.tokens <= engine.adapter.most_tokens_per_unit
        assert grid.width * grid.height <= engine.max_pixels
    assert engine.frame_size is None
    assert engine.tokens_per_frame == 72


def test_only_the_pairs_of_the_time_section_turn_with_time(engines: dict[str, Engine]) -> None:
    frequencies = engines["qwen2_vl"].adapter.time_frequencies()
    assert (frequencies != 0).tolist() == [True, True, False, False, False, False]
