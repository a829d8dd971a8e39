"""An untrained Qwen2-VL of any size, saved as real checkpoints are: what it says is noise, what it
costs is not."""

from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2VLConfig, Qwen2VLForConditionalGeneration

_SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|video_pad|>",
    "<|image_pad|>",
)

_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for item in message['content'] %}{% if item['type'] == 'video' %}"
    "<|vision_start|><|video_pad|><|vision_end|>{% else %}{{ item['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def save_random_qwen2_vl(
    folder: Path,
    *,
    layers: int = 14,
    hidden: int = 896,
    intermediate: int = 4864,
    heads: int = 14,
    kv_heads: int = 2,
    vision_layers: int = 12,
    vision_hidden: int = 768,
    vision_heads: int = 12,
    patch: int = 14,
) -> None:
    """Write a checkpoint to `folder`. The defaults make 0.3 billion parameters, in float32: layers
    as wide as those of Qwen2-0.5B under a tower as wide as ViT-B, and a vocabulary of bytes."""
    tokenizer = _build_tokenizer()
    ids = tokenizer.convert_tokens_to_ids
    pairs = hidden // heads // 2  # rotary pairs: a quarter along time, the rest in the picture
    section = [pairs - 2 * (3 * pairs // 8), 3 * pairs // 8, 3 * pairs // 8]
    config = Qwen2VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": hidden,
            "intermediate_size": intermediate,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "num_key_value_heads": kv_heads,
            "bos_token_id": None,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 1e6,
                "mrope_section": section,
            },
        },
        vision_config={
            "depth": vision_layers,
            "embed_dim": vision_hidden,
            "hidden_size": hidden,
            "num_heads": vision_heads,
            "patch_size": patch,
        },
        video_token_id=ids("<|video_pad|>"),
        image_token_id=ids("<|image_pad|>"),
        vision_start_token_id=ids("<|vision_start|>"),
        vision_end_token_id=ids("<|vision_end|>"),
    )
    Qwen2VLForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _build_tokenizer() -> PreTrainedTokenizerFast:
    """Bytes as tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE({p: i for i, p in enumerate([*_SPECIAL, *alphabet])}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=[s for s in _SPECIAL if s not in ("<|im_end|>", "<|endoftext|>")],
        chat_template=_TEMPLATE,
    )
