"""Whether a checkpoint's weights are whole: its files before loading, its tensors after.

`transformers` fills what is missing with random values and loads NaN as it stands; a worker that
starts so would answer nonsense for hours.
"""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from model_worker.errors import ModelError

_SINGLE: Final = "model.safetensors"
_INDEX: Final = "model.safetensors.index.json"
_CHECKED: Final = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
_NAMED: Final = 3  # tensors that an error names; of the others it says how many


def count_parameters(folder: Path) -> int:
    """The parameters in a checkpoint's safetensors files, of which only the headers are read.

    Raises ModelError for weights that are not there, shards that the index names and the folder
    does not hold, and files that are damaged or cut short.
    """
    return sum(_count(folder / name) for name in weight_files(folder))


def weight_files(folder: Path) -> list[str]:
    """The names of a checkpoint's files of weights. Raises ModelError as `count_parameters`."""
    index = folder / _INDEX
    if index.is_file():
        try:
            names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(
                f"{index} is no index of weights ({error!r}): fetch it again"
            ) from error
        missing = [name for name in names if not (folder / name).is_file()]
        if missing:
            raise ModelError(
                f"{folder} lacks {len(missing)} of {len(names)} files of weights that its index "
                f"names: {_some(missing)}; fetch the checkpoint again"
            )
        return names
    if (folder / _SINGLE).is_file():
        return [_SINGLE]
    if any(folder.glob("*.bin")):
        raise ModelError(
            f"{folder} has its weights as .bin files, which can hold code and are not loaded: "
            "take a revision with safetensors, or save it as such"
        )
    raise ModelError(
        f"{folder} holds no weights ({_SINGLE} or {_INDEX}): fetch the checkpoint again"
    )


def _count(file: Path) -> int:
    try:
        with safe_open(file, framework="pt") as tensors:
            shapes = (tensors.get_slice(name).get_shape() for name in tensors.keys())  # noqa: SIM118
            return sum(math.prod(shape) for shape in shapes)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{file} is damaged or cut short ({error}): fetch it again") from error


def check_loaded(folder: Path, info: dict[str, Any]) -> None:
    """Raises ModelError where `transformers`' loading info tells of tensors that the files do not
    have, or have in another shape than the config says."""
    if info["mismatched_keys"]:
        name, found, wanted = min(info["mismatched_keys"])
        raise ModelError(
            f"{folder} has tensors of other shapes than its config.json says, such as {name}: "
            f"{tuple(found)} instead of {tuple(wanted)}; config and weights are not of one model"
        )
    if info["missing_keys"]:
        missing = sorted(info["missing_keys"])
        raise ModelError(
            f"{folder} lacks tensors of the model that its config.json describes: "
            f"{_some(missing)}; fetch the checkpoint again, or correct the config"
        )


def check_finite(folder: Path, tensors: Iterable[tuple[str, Tensor]]) -> None:
    """Raises ModelError that names the first tensors that hold NaN or infinity.

    One pass over the weights, for the least and the greatest value of each, which NaN becomes both
    of: 0.1 to 0.4 s per GB on one core. Packed weights, of checkpoints that are quantised already,
    are left out.
    """
    bad = [
        (name, each)
        for name, each in tensors
        if each.dtype in _CHECKED
        and each.numel()
        and not all(end.isfinite() for end in each.aminmax())
    ]
    if bad:
        dtype = str(bad[0][1].dtype).removeprefix("torch.")
        raise ModelError(
            f"{folder} holds NaN or infinite values as {dtype} in "
            f"{_some([name for name, _ in bad])}; fetch the checkpoint again"
            + (", or take bfloat16, whose range is wider" if dtype == "float16" else "")
        )


def _some(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
