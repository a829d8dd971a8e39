"""The exported folder is read by the ordinary loaders and means the same."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer

from training.checkpoint import SIDE, build_model, build_tokenizer
from training.export import export
from training.stage1 import open_state
from training.tower import to_pixels


def test_the_ordinary_loaders_read_what_was_written(tmp_path: Path) -> None:
    tokenizer = build_tokenizer()
    model = build_model(tokenizer)
    export(model, tokenizer, tmp_path)

    read, report = AutoModelForImageTextToText.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    written, loaded = model.state_dict(), read.state_dict()
    assert all(torch.equal(written[name], loaded[name]) for name in written)
    assert 3e6 < sum(p.numel() for p in read.parameters()) < 15e6
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 40e6

    text = "What did you see before the clock?"
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert again.encode(text) == tokenizer.encode(text)
    assert again.decode(again.encode(text)) == text
    assert again.chat_template == tokenizer.chat_template


def test_training_sees_pixels_as_the_familys_processor_does(tmp_path: Path) -> None:
    tokenizer = build_tokenizer()
    export(build_model(tokenizer), tokenizer, tmp_path)
    picture = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    processor = AutoImageProcessor.from_pretrained(tmp_path)
    theirs = processor(Image.fromarray(picture), return_tensors="pt").pixel_values[0, 0]
    ours = to_pixels(torch.from_numpy(picture)[None])[0]
    assert (ours - theirs).abs().max() < 1e-5


def test_training_goes_on_from_an_exported_checkpoint(tmp_path: Path) -> None:
    tokenizer = build_tokenizer()
    model = build_model(tokenizer)
    export(model, tokenizer, tmp_path)
    resumed = open_state(tmp_path).model.state_dict()
    for name, value in model.state_dict().items():
        rows = len(tokenizer) if "embed_tokens" in name or "lm_head" in name else len(value)
        assert torch.equal(value[:rows], resumed[name][:rows]), name  # the rest no word has
