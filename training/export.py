"""Writes a trained state as a Hugging Face folder that the ordinary loaders read.

python -m training.export --state runs/decoder/state.pt --out models/lookback-mini
"""

import argparse
import json
from pathlib import Path

import torch
from transformers import LlavaOnevisionForConditionalGeneration, PreTrainedTokenizerFast

from training.checkpoint import CHAT_TEMPLATE, SIDE, build_model, build_tokenizer
from training.tower import MEAN, STD
from training.world import GRID


def write_processor(folder: Path) -> None:
    """The processor's configuration, in the files that hub checkpoints of the family have."""
    picture = {
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [round(value, 8) for value in MEAN.flatten().tolist()],
        "image_std": [round(value, 8) for value in STD.flatten().tolist()],
        "resample": 3,
        "rescale_factor": 1 / 255,
        "size": {"height": SIDE, "width": SIDE},
    }
    processor = "LlavaOnevisionProcessor"
    image = {
        "image_processor_type": "LlavaOnevisionImageProcessor",
        "image_grid_pinpoints": [[SIDE, SIDE]],
        "do_pad": True,
        "processor_class": processor,
    }
    video = {"video_processor_type": "LlavaOnevisionVideoProcessor", "processor_class": processor}
    files = {
        "preprocessor_config.json": picture | image,
        "video_preprocessor_config.json": picture | video,
        "processor_config.json": {
            "processor_class": processor,
            "image_token": "<image>",
            "video_token": "<video>",
            "num_image_tokens": (GRID * 2) ** 2,
            "vision_feature_select_strategy": "full",
            "vision_aspect_ratio": "anyres_max_1",
        },
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")


def export(
    model: LlavaOnevisionForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    folder: Path,
) -> None:
    """Write weights, configuration, tokenizer, chat template and processor to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.do_sample = False
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    write_processor(folder)
    # Measured with `lookback bench endless` and `lookback bench recall`; positions as they were say
    # how long ago something happened.
    (folder / "lookback.json").write_text('{"policy": "novelty", "positions": "native"}\n')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    tokenizer = build_tokenizer()
    model = build_model(tokenizer)
    state = torch.load(args.state, weights_only=True)["stage"]
    own = {k.removeprefix("model."): v for k, v in state.items() if k.startswith("model.")}
    model.load_state_dict(own)
    export(model, tokenizer, args.out)


if __name__ == "__main__":
    main()
