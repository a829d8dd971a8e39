"""The model families by the `model_type` of their config."""

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


def find_family(model_type: str) -> type[FamilyAdapter]:
    """The adapter for a config's `model_type`. Raises ModelError listing the known ones."""
    if model_type not in FAMILIES:
        raise ModelError(
            f"model_type {model_type!r} is not supported; known: {', '.join(sorted(FAMILIES))}"
        )
    return FAMILIES[model_type]
