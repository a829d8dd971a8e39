"""A checkpoint in the standard Hugging Face layout, loaded whole or refused with a reason.

What costs little is looked at first: config, tokenizer and chat template, the headers of the
weights, the memory they need; then the weights are read, and every tensor of them is looked at.
"""

import json
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForImageTextToText, AutoTokenizer
from transformers.utils import is_flash_attn_2_available, logging

from model_worker.device import free_bytes
from model_worker.errors import ModelError
from model_worker.fingerprint import fingerprint
from model_worker.hub import resolve_folder
from model_worker.quantization import find_quantizer
from model_worker.weights import check_finite, check_loaded, count_parameters

__all__ = [
    "Checkpoint",
    "ModelError",
    "describe_checkpoint",
    "load_checkpoint",
    "read_model_type",
    "resolve_folder",
]

ATTENTIONS: Final = ("auto", "sdpa", "eager", "flash_attention_2")
_MEASURED: Final = ("policy", "positions")


@dataclass(frozen=True)
class Checkpoint:
    """What stands in a checkpoint's folder, loaded."""

    name: str
    model: Any  # transformers.PreTrainedModel
    tokenizer: Any  # transformers.PreTrainedTokenizerBase
    chat_template: str | None  # None: the tokenizer's own
    preprocessing: dict[str, Any]  # how pictures become pixel values; may be empty
    measured: dict[str, str] = field(default_factory=dict)  # see _read_measured
    identity: str = ""  # a hash, see fingerprint; of a description without weights none


def read_model_type(folder: Path) -> str:
    """The `model_type` of a checkpoint's config. Raises ModelError."""
    try:
        return str(json.loads((folder / "config.json").read_text())["model_type"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder / 'config.json'} names no model_type ({error!r})") from error


def read_config(folder: Path) -> Any:
    """The checkpoint's `transformers.PreTrainedConfig`.

    Raises ModelError for one that `transformers` does not take, and for mixtures of experts.
    """
    try:
        config = AutoConfig.from_pretrained(folder)
        text = config.get_text_config()
    except Exception as error:  # a config checks itself, and raises many kinds
        raise ModelError(
            f"{folder / 'config.json'} cannot be used: {_line(error)}; correct it, or fetch it "
            "again"
        ) from error
    experts = getattr(text, "num_experts", None) or getattr(text, "num_local_experts", None)
    if experts:
        raise ModelError(
            f"{folder} is a mixture of {experts} experts, and only dense sizes are supported: take "
            f"a dense checkpoint of {config.model_type}"
        )
    return config


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
    quantize = find_quantizer(quantization)
    config = read_config(folder)
    if quantize is not None and getattr(config, "quantization_config", None):
        raise ModelError(f"{folder} is quantised already: take quantization none")
    tokenizer, template = _read_tokenizer(folder)
    preprocessing = _read_preprocessing(folder)
    _check_room(folder, dtype)
    model = _load_model(folder, config, dtype, chosen)
    if quantize is not None:
        quantize(model.get_decoder(), device)
    return Checkpoint(
        name=folder.name,
        model=_move(model, folder, device).eval(),
        tokenizer=tokenizer,
        chat_template=template,
        preprocessing=preprocessing,
        measured=_read_measured(folder),
        identity=fingerprint(folder, preprocessing),
    )


def describe_checkpoint(folder: Path, dtype: torch.dtype) -> Checkpoint:
    """As `load_checkpoint`, but the model is one without weights, on the device "meta".

    Enough for an adapter to say what the checkpoint needs; reads no weights. Raises ModelError.
    """
    config = read_config(folder)
    tokenizer, template = _read_tokenizer(folder)
    try:
        with torch.device("meta"):
            model = AutoModelForImageTextToText.from_config(config, dtype=dtype)
    except (ValueError, KeyError, ImportError, RuntimeError) as error:
        raise ModelError(f"{folder / 'config.json'} makes no model: {_line(error)}") from error
    return Checkpoint(folder.name, model, tokenizer, template, _read_preprocessing(folder))


def _check_room(folder: Path, dtype: torch.dtype) -> None:
    """Weights are read into memory before they go to any device."""
    needed = count_parameters(folder) * dtype.itemsize
    free = free_bytes(torch.device("cpu"))
    if free is not None and needed > free:
        raise ModelError(
            f"the weights in {folder} take {needed / 1e9:.1f} GB as {_named(dtype)} and this "
            f"machine has {free / 1e9:.1f} GB of memory free: take a smaller checkpoint"
            + (", or dtype bfloat16" if dtype.itemsize > 2 else "")
        )


def _load_model(folder: Path, config: Any, dtype: torch.dtype, attention: dict[str, str]) -> Any:
    """The model on the CPU, every tensor of it from the files and finite."""
    logging.disable_progress_bar()  # standard error belongs to whoever loads
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # its report of what is missing is an error here
    try:
        model, info = AutoModelForImageTextToText.from_pretrained(
            folder,
            config=config,
            dtype=dtype,
            attn_implementation=attention,
            use_safetensors=True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"the checkpoint in {folder} does not load: {_line(error)}") from error
    finally:
        logging.set_verbosity(verbosity)
    check_loaded(folder, info)
    check_finite(folder, chain(model.named_parameters(), model.named_buffers()))
    return model


def _move(model: Any, folder: Path, device: torch.device) -> Any:
    try:
        return model.to(device)
    except torch.OutOfMemoryError as error:
        free = free_bytes(device) or 0
        raise ModelError(
            f"the weights in {folder} do not fit on {device}, which has {free / 1e9:.1f} GB left: "
            "take a smaller checkpoint, dtype bfloat16, or quantization int8 or int4"
        ) from error


def _read_tokenizer(folder: Path) -> tuple[Any, str | None]:
    """The tokenizer and the processor's chat template, None where the tokenizer has the only."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except Exception as error:  # tokenizers have errors of their own, and of Rust
        raise ModelError(
            f"{folder} has no tokenizer that loads ({_line(error)}): fetch tokenizer.json and "
            "tokenizer_config.json beside the weights"
        ) from error
    template = _read_template(folder)
    if template is None and not tokenizer.chat_template:
        raise ModelError(
            f"the checkpoint in {folder} has no chat template (chat_template.jinja, "
            "chat_template.json or in tokenizer_config.json): take the instruction-tuned "
            "checkpoint of this model, or add its template"
        )
    return tokenizer, template


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


def _read_measured(folder: Path) -> dict[str, str]:
    """`lookback.json`, which is no file of `transformers`: how a session of this checkpoint
    remembers best, where that was measured; `policy` and `positions`, both may be missing."""
    file = folder / "lookback.json"
    if not file.is_file():
        return {}
    try:
        settings = json.loads(file.read_text())
        known = {name: str(settings[name]) for name in settings if name in _MEASURED}
        if len(known) < len(settings):
            raise ValueError(f"known: {', '.join(_MEASURED)}")
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"{file} cannot be used ({error}): correct it or remove it") from error
    return known


def _read_template(folder: Path) -> str | None:
    """The processor's template, which knows of videos; a tokenizer's own may not."""
    if (folder / "chat_template.jinja").is_file():
        return (folder / "chat_template.jinja").read_text()
    if (folder / "chat_template.json").is_file():
        return str(_read_json(folder / "chat_template.json").get("chat_template") or "") or None
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
            settings = _read_json(folder / name)
            settings = settings if key is None else settings.get(key) or {}
            if "image_mean" in settings:
                return settings
    return {}


def _read_json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text())
    except ValueError as error:
        raise ModelError(f"{file} is no JSON ({error}): fetch it again") from error
    if not isinstance(found, dict):
        raise ModelError(f"{file} holds no JSON object: fetch it again")
    return found


def _line(error: Exception) -> str:
    """What an error says, in one line."""
    lines = [line.strip().rstrip(".") for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2]) if lines else type(error).__name__


def _named(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
