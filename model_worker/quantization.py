"""Weights of the decoder's matrices in 8 or 4 bits, by packages that need not be installed.

Only the decoder's linear layers: they are most of a large checkpoint, and the vision tower,
embeddings and LM head lose more than they save. Matrices are quantised one at a time on their way
to the device, so that the device never holds the whole checkpoint in full precision.
"""

from collections.abc import Callable
from typing import Any, Final

import torch
from torch import nn
from transformers.utils import is_bitsandbytes_available, is_torchao_available

from model_worker.errors import ModelError

QUANTIZATIONS: Final = ("none", "int8", "int4")
_BLOCK: Final = 64  # of NF4, and a multiple of what bitsandbytes' kernels on CPUs take


def find_quantizer(quantization: str) -> Callable[[Any, torch.device], None] | None:
    """What quantises a decoder on its way to a device; None for "none".

    int8 is torchao's weight-only int8 (a scale per row) or, without torchao, bitsandbytes'
    LLM.int8 (Dettmers et al. 2022, arXiv 2208.07339); int4 is bitsandbytes' NF4 (Dettmers et al.
    2023, arXiv 2305.14314). Raises ModelError for an unknown one, and where no package for it is
    installed.
    """
    if quantization not in QUANTIZATIONS:
        known = ", ".join(QUANTIZATIONS)
        raise ModelError(f"unknown quantization {quantization!r}; known: {known}")
    if quantization == "none":
        return None
    if quantization == "int8" and is_torchao_available():
        return _torchao_int8
    if is_bitsandbytes_available():
        return _bitsandbytes_int8 if quantization == "int8" else _bitsandbytes_int4
    packages = "torchao or bitsandbytes" if quantization == "int8" else "bitsandbytes"
    raise ModelError(
        f"quantization {quantization} needs the package {packages}, which is not installed: pip "
        f"install {packages.split()[0]}, or take quantization none"
    )


def _torchao_int8(decoder: Any, device: torch.device) -> None:
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    # Its settings for torch.compile are global to the process and are not its to set.
    quantize_(decoder, Int8WeightOnlyConfig(set_inductor_config=False), device=device)


def _bitsandbytes_int8(decoder: Any, device: torch.device) -> None:
    from bitsandbytes.nn import Int8Params, Linear8bitLt

    def made(linear: nn.Linear) -> nn.Module:
        new: nn.Module = Linear8bitLt(
            linear.in_features,
            linear.out_features,
            bias=linear.bias is not None,
            has_fp16_weights=False,
            threshold=6.0,
            device="meta",
        )
        new.weight = Int8Params(linear.weight.data, requires_grad=False, has_fp16_weights=False)
        return new

    _replace(decoder, device, made)


def _bitsandbytes_int4(decoder: Any, device: torch.device) -> None:
    from bitsandbytes.nn import Linear4bit, Params4bit

    def made(linear: nn.Linear) -> nn.Module:
        new: nn.Module = Linear4bit(
            linear.in_features,
            linear.out_features,
            bias=linear.bias is not None,
            compute_dtype=linear.weight.dtype,
            quant_type="nf4",
            device="meta",
        )
        new.weight = Params4bit(
            linear.weight.data, requires_grad=False, quant_type="nf4", module=new
        )
        return new

    _replace(decoder, device, made)


def _replace(decoder: Any, device: torch.device, made: Callable[[nn.Linear], nn.Module]) -> None:
    """Put `made(linear)` in the place of each linear layer; its weight packs itself as it moves.

    A layer whose sides are no multiples of the kernels' block stays as it is.
    """
    for name, module in list(decoder.named_modules()):
        if isinstance(module, nn.Linear) and not any(side % _BLOCK for side in module.weight.shape):
            new = made(module)
            new.bias = module.bias
            decoder.set_submodule(name, new.to(device))
