"""A hash of a checkpoint that tells it from others and costs next to nothing.

The same checkpoint has the same identity in every folder, dtype and quantisation, on every device
and however its weights are cut into files.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, Final

from model_worker.weights import weight_files

_WHOLE: Final = 1 << 16  # bytes of a tensor that are read
_PIECES: Final = 16
_INCIDENTAL: Final = ("transformers_version", "dtype", "torch_dtype", "_name_or_path", "use_cache")
_SIZE: Final = 16  # bytes of a hash


def fingerprint(folder: Path, preprocessing: dict[str, Any]) -> str:
    """A hash of config, preprocessing and tensors of the checkpoint in `folder`.

    Of each tensor name, type and shape count, and its bytes: all of a small one, 16 pieces of
    4 KiB spread evenly over a large one. Training changes every number of the tensors it touches,
    so that pieces tell checkpoints apart; who changes single numbers on purpose is not found out.
    At most 64 KiB a tensor are read: 50 MB for a model of 7 billion parameters.
    """
    found = hashlib.blake2b(digest_size=_SIZE)
    config = json.loads((folder / "config.json").read_text())
    for settings in (config, preprocessing):
        found.update(json.dumps(_essential(settings), sort_keys=True).encode())
    tensors = {}
    for name in weight_files(folder):
        with (folder / name).open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            listed = json.loads(file.read(length))
        listed.pop("__metadata__", None)
        tensors.update({tensor: (name, 8 + length, about) for tensor, about in listed.items()})
    for tensor in sorted(tensors):
        name, data, about = tensors[tensor]
        found.update(json.dumps([tensor, about["dtype"], about["shape"]]).encode())
        begin, end = about["data_offsets"]
        with (folder / name).open("rb") as file:
            for start, count in _pieces(data + begin, data + end):
                file.seek(start)
                found.update(file.read(count))
    return found.hexdigest()


def _pieces(begin: int, end: int) -> list[tuple[int, int]]:
    """Where to read, and how many bytes."""
    if end - begin <= _WHOLE:
        return [(begin, end - begin)]
    each = _WHOLE // _PIECES
    last = end - each
    return [(begin + (last - begin) * i // (_PIECES - 1), each) for i in range(_PIECES)]


def _essential(settings: Any) -> Any:
    """Settings without what differs from one save of a model to the next."""
    if isinstance(settings, dict):
        return {k: _essential(v) for k, v in settings.items() if k not in _INCIDENTAL}
    if isinstance(settings, list):
        return [_essential(each) for each in settings]
    return settings
