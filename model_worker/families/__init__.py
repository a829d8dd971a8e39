"""The model families by the `model_type` of their config."""

from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
)

from model_worker.checkpoint import ModelError
from model_worker.families.base import FamilyAdapter
from model_worker.families.internvl import InternVL
from model_worker.families.llava_next_video import LlavaNextVideo
from model_worker.families.llava_onevision import LlavaOnevision
from model_worker.families.qwen2_vl import Qwen2VL
from model_worker.families.qwen3_vl import Qwen3VL
from model_worker.families.smolvlm import SmolVLM

_ADAPTERS: tuple[type[FamilyAdapter], ...] = (
    InternVL,
    LlavaNextVideo,
    LlavaOnevision,
    Qwen2VL,
    Qwen3VL,
    SmolVLM,
)

FAMILIES: dict[str, type[FamilyAdapter]] = {
    model_type: family for family in _ADAPTERS for model_type in family.model_types
}


_OTHER_LAYOUTS = ("internvl_chat", "llava_llama", "llava_mistral", "llava_qwen")
"""Of the families' authors, in code of their own."""


def find_family(model_type: str) -> type[FamilyAdapter]:
    """The adapter for a config's `model_type`. Raises ModelError listing the known ones."""
    if model_type in FAMILIES:
        return FAMILIES[model_type]
    raise ModelError(f"{_refusal(model_type)}; known: {', '.join(sorted(FAMILIES))}")


def _refusal(model_type: str) -> str:
    if model_type.removesuffix("_moe") in FAMILIES:
        return f"{model_type!r} is a mixture of experts, and only dense sizes are supported"
    if model_type in _OTHER_LAYOUTS:
        return (
            f"model_type {model_type!r} is its authors' own layout: take the checkpoint in "
            "transformers' layout, whose name ends in -hf"
        )
    sees = model_type in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
    if model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and not sees:
        return f"model_type {model_type!r} is a text-only model, which sees no video"
    return f"model_type {model_type!r} is not supported"
