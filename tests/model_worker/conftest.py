"""Tiny untrained checkpoints of each family, saved and loaded as real ones are."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    AutoModelForImageTextToText,
    InternVLConfig,
    InternVLForConditionalGeneration,
    LlavaNextVideoConfig,
    LlavaNextVideoForConditionalGeneration,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
)
from transformers.models.smolvlm.processing_smolvlm import DEFAULT_CHAT_TEMPLATE

from model_worker.admission import Admission
from model_worker.engine import Engine
from tests.model_worker.driven import Driven

torch.set_num_threads(1)

SPECIAL = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|video_pad|>",
    "<|image_pad|>",
]

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for item in message['content'] %}{% if item['type'] == 'video' %}VIDEO"
    "{% else %}{{ item['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

TEXT: dict[str, Any] = {
    "hidden_size": 48,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    "bos_token_id": None,
    "initializer_range": 0.3,  # so that attention is far from uniform
}


def build_tokenizer(video: str, *more: str) -> PreTrainedTokenizerFast:
    """Bytes as tokens; a character outside ASCII takes several. `more` are special tokens."""
    special = [*SPECIAL, *more]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {piece: i for i, piece in enumerate([*special, *alphabet])}
    inner = Tokenizer(models.BPE(vocabulary, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=[s for s in special if s not in ("<|im_end|>", "<|endoftext|>")],
        chat_template=TEMPLATE.replace("VIDEO", video),
    )


def text_config(tokenizer: PreTrainedTokenizerFast, **more: Any) -> dict[str, Any]:
    ids = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    return TEXT | ids | {"vocab_size": len(tokenizer)} | more


def build_llava() -> tuple[Any, PreTrainedTokenizerFast]:
    tokenizer = build_tokenizer("<|video_pad|>")
    config = LlavaOnevisionConfig(
        vision_config={
            "model_type": "siglip_vision_model",
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 32,
            "patch_size": 8,
            "vision_use_head": False,
        },
        text_config=text_config(tokenizer, model_type="qwen2"),
        image_token_index=tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<|video_pad|>"),
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        image_grid_pinpoints=[[32, 32]],
    )
    return LlavaOnevisionForConditionalGeneration(config), tokenizer


def build_qwen(new: bool) -> tuple[Any, PreTrainedTokenizerFast]:
    tokenizer = build_tokenizer("<|vision_start|><|video_pad|><|vision_end|>")
    vision: dict[str, Any] = {"depth": 2, "num_heads": 2, "patch_size": 8, "spatial_merge_size": 2}
    if new:
        vision |= {
            "hidden_size": 32,
            "intermediate_size": 48,
            "out_hidden_size": TEXT["hidden_size"],
            "window_size": 32,
            "fullatt_block_indexes": [1],
            "tokens_per_second": 2,
        }
    else:
        vision |= {"embed_dim": 32, "hidden_size": TEXT["hidden_size"]}
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 2, 2]}
    settings: dict[str, Any] = {
        "text_config": text_config(tokenizer, rope_parameters=rope),
        "vision_config": vision,
        "video_token_id": tokenizer.convert_tokens_to_ids("<|video_pad|>"),
        "image_token_id": tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        "vision_start_token_id": tokenizer.convert_tokens_to_ids("<|vision_start|>"),
        "vision_end_token_id": tokenizer.convert_tokens_to_ids("<|vision_end|>"),
    }
    if new:
        return Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(**settings)), tokenizer
    return Qwen2VLForConditionalGeneration(Qwen2VLConfig(**settings)), tokenizer


def build_qwen3() -> tuple[Any, PreTrainedTokenizerFast]:
    tokenizer = build_tokenizer("<|vision_start|><|video_pad|><|vision_end|>")
    rope = {
        "rope_type": "default",
        "rope_theta": 10000.0,
        "mrope_section": [2, 2, 2],
        "mrope_interleaved": True,
    }
    config = Qwen3VLConfig(
        text_config=text_config(tokenizer, rope_parameters=rope, head_dim=12),
        vision_config={
            "depth": 3,
            "num_heads": 2,
            "hidden_size": 32,
            "intermediate_size": 48,
            "out_hidden_size": TEXT["hidden_size"],
            "patch_size": 8,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "num_position_embeddings": 16,
            "deepstack_visual_indexes": [0, 1],
            "initializer_range": 0.2,
        },
        video_token_id=tokenizer.convert_tokens_to_ids("<|video_pad|>"),
        image_token_id=tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        vision_start_token_id=tokenizer.convert_tokens_to_ids("<|vision_start|>"),
        vision_end_token_id=tokenizer.convert_tokens_to_ids("<|vision_end|>"),
    )
    return Qwen3VLForConditionalGeneration(config), tokenizer


VISION: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
    "initializer_range": 0.2,
}


def build_llava_next_video() -> tuple[Any, PreTrainedTokenizerFast]:
    """Its tokenizer opens a text with a token of its own, as Llama's does."""
    tokenizer = build_tokenizer("<video>", "<video>", "<s>")
    tokenizer.bos_token = "<s>"
    tokenizer._tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", tokenizer.convert_tokens_to_ids("<s>"))]
    )
    config = LlavaNextVideoConfig(
        vision_config=VISION | {"model_type": "clip_vision_model", "projection_dim": 32},
        text_config=text_config(tokenizer, model_type="llama"),
        image_token_index=tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=[[32, 32]],
    )
    return LlavaNextVideoForConditionalGeneration(config), tokenizer


def build_smolvlm() -> tuple[Any, PreTrainedTokenizerFast]:
    marks = ("<fake_token_around_image>", "<global-img>", "<end_of_utterance>")
    tokenizer = build_tokenizer("", "<image>", *marks)
    tokenizer.chat_template = DEFAULT_CHAT_TEMPLATE
    config = SmolVLMConfig(
        vision_config=VISION,
        text_config=text_config(tokenizer, model_type="llama"),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
    )
    return SmolVLMForConditionalGeneration(config), tokenizer


def build_internvl() -> tuple[Any, PreTrainedTokenizerFast]:
    tokenizer = build_tokenizer("<video>\n", "<img>", "</img>", "<IMG_CONTEXT>", "<video>")
    config = InternVLConfig(
        vision_config=VISION,
        text_config=text_config(tokenizer, model_type="qwen2"),
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
    )
    return InternVLForConditionalGeneration(config), tokenizer


BUILDERS: dict[str, Callable[[], tuple[Any, PreTrainedTokenizerFast]]] = {
    "llava_onevision": build_llava,
    "qwen2_vl": lambda: build_qwen(new=False),
    "qwen2_5_vl": lambda: build_qwen(new=True),
    "qwen3_vl": build_qwen3,
    "llava_next_video": build_llava_next_video,
    "smolvlm": build_smolvlm,
    "internvl": build_internvl,
}


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder with a tiny untrained checkpoint for each family."""
    folders = {}
    for name, build in BUILDERS.items():
        torch.manual_seed(0)
        model, tokenizer = build()
        folders[name] = tmp_path_factory.mktemp(name)
        model.save_pretrained(folders[name])
        tokenizer.save_pretrained(folders[name])
    return folders


@pytest.fixture(scope="session")
def engines(checkpoints: dict[str, Path]) -> dict[str, Engine]:
    """The tiny checkpoints, loaded."""
    return {name: Engine.load(folder) for name, folder in checkpoints.items()}


@pytest.fixture(scope="session")
def references(checkpoints: dict[str, Path]) -> dict[str, Any]:
    """The tiny checkpoints as `transformers` alone has them."""
    load = AutoModelForImageTextToText.from_pretrained
    return {name: load(folder).eval() for name, folder in checkpoints.items()}


@pytest.fixture(scope="session")
def llava(engines: dict[str, Engine]) -> Engine:
    return engines["llava_onevision"]


@pytest.fixture
def frames() -> list[NDArray[np.uint8]]:
    """Forty noise frames, RGB `[32, 32, 3]`."""
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (32, 32, 3), dtype=np.uint8) for _ in range(40)]


@pytest.fixture
def small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """Qwen's units have at most 4 visual tokens, so that a block is soon full."""
    monkeypatch.setattr("model_worker.families.qwen2_vl._MOST_TOKENS", 4)


@pytest.fixture
def spoil() -> Callable[[Path, Callable[[dict[str, torch.Tensor]], object]], None]:
    """Change the tensors in a checkpoint's file of weights."""

    def change(folder: Path, how: Callable[[dict[str, torch.Tensor]], object]) -> None:
        file = folder / "model.safetensors"
        weights = load_file(file)
        how(weights)
        save_file(weights, file, metadata={"format": "pt"})

    return change


@pytest.fixture
def driven(llava: Engine) -> Driven:
    return Driven(llava, Admission(2), llava.default_budget_tokens)
