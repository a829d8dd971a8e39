"""LLaVA-OneVision's pictures, against the processor of `transformers`."""

import numpy as np
import torch
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from model_worker.engine import Engine

CLIP = {
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}


def test_pixels_are_those_of_the_processor(llava: Engine) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    processor = SiglipImageProcessorPil(size={"height": 32, "width": 32}, **CLIP)
    expected = torch.as_tensor(np.stack(processor(frame)["pixel_values"]))[0]
    pixels = llava.adapter.pixels(frame, llava.adapter.grid(32, 32))
    assert (pixels - expected).abs().max() < 1e-5


def test_other_sizes_are_squeezed_close_to_what_the_processor_makes(llava: Engine) -> None:
    """Smooth pictures, because interpolations differ in detail."""
    ramp = np.linspace(0, 255, 120, dtype=np.uint8)
    frame = np.stack(np.broadcast_arrays(ramp[:90, None], ramp[None], 128), axis=-1).astype("uint8")
    processor = SiglipImageProcessorPil(size={"height": 32, "width": 32}, **CLIP)
    expected = torch.as_tensor(np.stack(processor(frame)["pixel_values"]))[0]
    pixels = llava.adapter.pixels(frame, llava.adapter.grid(120, 90))
    assert pixels.shape == (3, 32, 32)
    assert (pixels - expected).abs().max() < 0.1


def test_the_grid_is_half_the_towers(llava: Engine) -> None:
    grid = llava.adapter.grid(640, 480)
    assert (grid.rows, grid.columns, grid.tokens) == (2, 2, 4)
    assert llava.frame_size == (32, 32)
    assert llava.max_pixels == 32 * 32


@torch.no_grad()
def test_frames_are_encoded_apart(llava: Engine) -> None:
    adapter = llava.adapter
    grid = adapter.grid(32, 32)
    units = torch.randn(3, 1, 3, 32, 32)
    together = adapter.encode(units, grid)
    assert together.shape == (3, 4, 48)
    for i in range(3):
        assert torch.allclose(adapter.encode(units[i : i + 1], grid)[0], together[i], atol=1e-5)
    assert not torch.allclose(together[0], together[1], atol=1e-2)
    assert torch.equal(adapter.closing()[0], adapter.model.model.image_newline)


def test_positions_count_on(llava: Engine) -> None:
    adapter = llava.adapter
    grid = adapter.grid(32, 32)
    assert adapter.time_position(3, 99.0, grid) == 12
    assert adapter.visual_positions(5, 17, grid).tolist() == [[17, 18, 19, 20]]
    assert adapter.text_start(5, 20, grid) == 21
