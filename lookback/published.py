"""Checkpoints that people use, by what their published config.json says.

Taken from the models' pages on the Hugging Face hub; a checkpoint at hand is better asked itself
(`lookback models FOLDER`). `visual_tokens` are those of a unit at the size that Lookback gives its
frames: the tower's square, or for Qwen models the most that a unit may have.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Published:
    """The decoder's shape and what a unit of frames becomes."""

    name: str
    model_type: str
    layers: int
    kv_heads: int
    head_dim: int
    frames_per_unit: int
    visual_tokens: int


PUBLISHED: Final = (
    # SigLIP, 384 pixels in patches of 14: 27 x 27, pooled to 14 x 14
    Published("llava-hf/llava-onevision-qwen2-0.5b-ov-hf", "llava_onevision", 24, 2, 64, 1, 196),
    Published("llava-hf/llava-onevision-qwen2-7b-ov-hf", "llava_onevision", 28, 4, 128, 1, 196),
    Published("Qwen/Qwen2-VL-2B-Instruct", "qwen2_vl", 28, 2, 128, 2, 144),
    Published("Qwen/Qwen2-VL-7B-Instruct", "qwen2_vl", 28, 4, 128, 2, 144),
    Published("Qwen/Qwen2.5-VL-3B-Instruct", "qwen2_5_vl", 36, 2, 128, 2, 144),
    Published("Qwen/Qwen2.5-VL-7B-Instruct", "qwen2_5_vl", 28, 4, 128, 2, 144),
    Published("Qwen/Qwen3-VL-2B-Instruct", "qwen3_vl", 28, 8, 128, 2, 144),
    Published("Qwen/Qwen3-VL-4B-Instruct", "qwen3_vl", 36, 8, 128, 2, 144),
    Published("Qwen/Qwen3-VL-8B-Instruct", "qwen3_vl", 36, 8, 128, 2, 144),
    # CLIP, 336 pixels in patches of 14: 24 x 24, pooled to 12 x 12
    Published("llava-hf/LLaVA-NeXT-Video-7B-hf", "llava_next_video", 32, 32, 128, 1, 144),
    # SigLIP, 512 pixels in patches of 16, shuffled by 4; 384 in patches of 14, shuffled by 3
    Published("HuggingFaceTB/SmolVLM2-500M-Video-Instruct", "smolvlm", 32, 5, 64, 1, 64),
    Published("HuggingFaceTB/SmolVLM2-2.2B-Instruct", "smolvlm", 24, 32, 64, 1, 81),
    # InternViT, 448 pixels in patches of 14: 32 x 32, shuffled to 16 x 16
    Published("OpenGVLab/InternVL3-1B-hf", "internvl", 24, 2, 64, 1, 256),
    Published("OpenGVLab/InternVL3-2B-hf", "internvl", 28, 2, 128, 1, 256),
    Published("OpenGVLab/InternVL3-8B-hf", "internvl", 28, 4, 128, 1, 256),
)
