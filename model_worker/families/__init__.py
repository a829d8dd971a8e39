"""The model families by the `model_type` of their config."""

from model_worker.checkpoint import ModelError
from model_worker.families.base import FamilyAdapter
from model_worker.families.llava_onevision import LlavaOnevision
from model_worker.families.qwen2_vl import Qwen2VL

FAMILIES: dict[str, type[FamilyAdapter]] = {
    model_type: family for family in (LlavaOnevision, Qwen2VL) for model_type in family.model_types
}


def find_family(model_type: str) -> type[FamilyAdapter]:
    """The adapter for a config's `model_type`. Raises ModelError listing the known ones."""
    if model_type not in FAMILIES:
        raise ModelError(
            f"model_type {model_type!r} is not supported; known: {', '.join(sorted(FAMILIES))}"
        )
    return FAMILIES[model_type]
