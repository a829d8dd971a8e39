"""A checkpoint in the standard Hugging Face layout, from a folder or from the hub."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForImageTextToText, AutoTokenizer
from transformers.utils import is_flash_attn_2_available, logging

from model_worker.quantization import find_quantizer

ATTENTIONS = ("auto", "sdpa", "eager", "flash_attention_2")
_FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]


class ModelError(ValueError):
    """A checkpoint that cannot be used; the message says why and what to change."""


@dataclass(frozen=True)
class Checkpoint:
    """What stands in a checkpoint's folder, loaded."""

    name: str
    model: Any  # transformers.PreTrainedModel
    tokenizer: Any  # transformers.PreTrainedTokenizerBase
    chat_template: str | None  # None: the tokenizer's own
    preprocessing: dict[str, Any]  # how pictures become pixel values; may be empty


def resolve_folder(model: str | Path, revision: str | None = None) -> Path:
    """The folder of a checkpoint, fetched from the hub where `model` is no local path.

    `revision` is a branch, tag or commit on the hub. Raises ModelError where there is no such
    folder and the hub does not give one, and for a folder with a revision.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        if revision is not None:
            raise ModelError(
                f"{folder} is a folder and has no revision {revision!r}: leave the revision out, "
                "or give a hub id"
            )
        if not (folder / "config.json").is_file():
            raise ModelError(f"{folder} holds no config.json: it is no checkpoint")
        return folder
    if str(model).count("/") != 1 or str(model).startswith((".", "/", "~")):
        raise ModelError(f"{model} is no folder; give a checkpoint's folder or a hub id owner/name")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(str(model), revision=revision, allow_patterns=_FILES))
    except Exception as error:  # the hub client raises many kinds; each means "no checkpoint"
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"{model} is no local folder and could not be fetched from the hub ({reason}); give "
            "a folder, or check the name and the network"
        ) from error


def read_model_type(folder: Path) -> str:
    """The `model_type` of a checkpoint's config. Raises ModelError."""
    try:
        return str(json.loads((folder / "config.json").read_text())["model_type"])
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder / 'config.json'} names no model_type ({error!r})") from error


def load_checkpoint(
    folder: Path,
    device: torch.device,
    dtype: torch.dtype,
    attention: str = "auto",
    quantization: str = "none",
) -> Checkpoint:
    """Load model, tokenizer and the settings beside them.

    `attention` is the vision tower's, one of ATTENTIONS, in transformers' names; "auto" is sdpa.
    The decoder's is sdpa here and the engine's affair. `quantization` is one of
    `quantization.QUANTIZATIONS`. Raises ModelError.
    """
    chosen = _choose_attention(attention)
    try:
        quantize = find_quantizer(quantization)
    except ValueError as error:
        raise ModelError(str(error)) from error
    logging.disable_progress_bar()  # standard error belongs to whoever loads
    try:
        config = AutoConfig.from_pretrained(folder)
        model = AutoModelForImageTextToText.from_pretrained(
            folder, config=config, dtype=dtype, attn_implementation=chosen
        )
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"the checkpoint in {folder} does not load: {error}") from error
    template = _read_template(folder)
    if template is None and not tokenizer.chat_template:
        raise ModelError(
            f"the checkpoint in {folder} has no chat template (chat_template.jinja, "
            "chat_template.json or in tokenizer_config.json)"
        )
    if quantize is not None:
        quantize(model.get_decoder(), device)
    return Checkpoint(
        name=folder.name,
        model=model.to(device).eval(),
        tokenizer=tokenizer,
        chat_template=template,
        preprocessing=_read_preprocessing(folder),
    )


def _choose_attention(attention: str) -> dict[str, str]:
    """As transformers' `attn_implementation`, by part of the model. Raises ModelError."""
    if attention not in ATTENTIONS:
        raise ModelError(f"unknown attention {attention!r}; known: {', '.join(ATTENTIONS)}")
    if attention == "flash_attention_2" and not is_flash_attn_2_available():
        raise ModelError(
            "attention flash_attention_2 needs a CUDA device and the package flash-attn, and one "
            "of them is not here: pip install flash-attn, or take attention auto (sdpa has flash "
            "kernels of its own on CUDA)"
        )
    tower = "sdpa" if attention == "auto" else attention
    return {"": "sdpa", "text_config": "sdpa", "vision_config": tower}


def _read_template(folder: Path) -> str | None:
    """The processor's template, which knows of videos; a tokenizer's own may not."""
    if (folder / "chat_template.jinja").is_file():
        return (folder / "chat_template.jinja").read_text()
    if (folder / "chat_template.json").is_file():
        return str(json.loads((folder / "chat_template.json").read_text())["chat_template"])
    return None


def _read_preprocessing(folder: Path) -> dict[str, Any]:
    """The video processor's settings, else the image processor's."""
    for name, key in (
        ("video_preprocessor_config.json", None),
        ("processor_config.json", "video_processor"),
        ("preprocessor_config.json", None),
        ("processor_config.json", "image_processor"),
    ):
        if (folder / name).is_file():
            settings: dict[str, Any] = json.loads((folder / name).read_text())
            settings = settings if key is None else settings.get(key) or {}
            if "image_mean" in settings:
                return settings
    return {}
