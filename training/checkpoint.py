"""The shape of lookback-mini: its tokenizer, its configuration, its files.

The architecture is LLaVA-OneVision's (Li et al. 2024, arXiv 2408.03326) as `transformers`
implements it: SigLIP tower, two-layer projector, 2x2 pooling, Qwen2 decoder.
"""

from pathlib import Path
from typing import Final

from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import WordLevel
from transformers import (
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    PreTrainedTokenizerFast,
)

from training.vocabulary import VOCABULARY

SIDE: Final = 96  # pixels
PATCH: Final = 16  # pixels
TOKENS_PER_FRAME: Final = 9  # (96 / 16 / 2) squared

SPECIAL: Final = ("<unk>", "<pad>", "<|im_start|>", "<|im_end|>", "<image>", "<video>")

CHAT_TEMPLATE: Final = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}"
    "{% if message['content'] is string %}{{ ' ' + message['content'] }}{% else %}"
    "{% for item in message['content'] %}"
    "{% if item['type'] == 'video' %}<video>{% elif item['type'] == 'image' %}<image>"
    "{% else %}{{ ' ' + item['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant{% endif %}"
)


def build_tokenizer() -> PreTrainedTokenizerFast:
    """One token a word; punctuation apart."""
    pieces = [*SPECIAL, ".", ",", "?", *("\u2581" + word for word in VOCABULARY)]
    inner = Tokenizer(WordLevel({p: i for i, p in enumerate(pieces)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(prepend_scheme="always"), pre_tokenizers.Punctuation()]
    )
    inner.decoder = decoders.Metaspace(prepend_scheme="always")
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        unk_token="<unk>",
        pad_token="<pad>",
        eos_token="<|im_end|>",
        additional_special_tokens=["<|im_start|>", "<image>", "<video>"],
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def build_config(tokenizer: PreTrainedTokenizerFast) -> LlavaOnevisionConfig:
    """About five million parameters."""
    ids = tokenizer.convert_tokens_to_ids
    vocab = (len(tokenizer) + 31) // 32 * 32
    return LlavaOnevisionConfig(
        vision_config={
            "model_type": "siglip_vision_model",
            "hidden_size": 192,
            "intermediate_size": 768,
            "num_hidden_layers": 4,
            "num_attention_heads": 6,
            "image_size": SIDE,
            "patch_size": PATCH,
            "vision_use_head": False,
        },
        text_config={
            "model_type": "qwen2",
            "vocab_size": vocab,
            "hidden_size": 192,
            "intermediate_size": 512,
            "num_hidden_layers": 6,
            "num_attention_heads": 6,
            "num_key_value_heads": 3,
            "max_position_embeddings": 32768,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6},
            "tie_word_embeddings": True,
            "bos_token_id": None,
            "eos_token_id": ids("<|im_end|>"),
            "pad_token_id": ids("<pad>"),
        },
        image_token_index=ids("<image>"),
        video_token_index=ids("<video>"),
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        image_grid_pinpoints=[[SIDE, SIDE]],
        vision_aspect_ratio="anyres_max_1",
        tie_word_embeddings=True,
    )


def build_model(tokenizer: PreTrainedTokenizerFast) -> LlavaOnevisionForConditionalGeneration:
    """An untrained model."""
    config = build_config(tokenizer)
    config._attn_implementation = "sdpa"
    return LlavaOnevisionForConditionalGeneration(config)


def exists(folder: Path) -> bool:
    """Whether a checkpoint stands in `folder`."""
    return (folder / "model.safetensors").exists()
