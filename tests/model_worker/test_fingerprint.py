"""Checkpoints that are the same have one fingerprint, others have others."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from model_worker import fingerprint as module
from model_worker.fingerprint import fingerprint

Spoil = Callable[[Path, Callable[[dict[str, torch.Tensor]], object]], None]


@pytest.fixture
def folder(checkpoints: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(checkpoints["llava_onevision"], tmp_path / "copy"))


def test_saving_again_changes_nothing(folder: Path) -> None:
    """In other files, and by another release."""
    before = fingerprint(folder, {})
    weights = load_file(folder / "model.safetensors")
    names = sorted(weights)
    parts = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, held in parts.items():
        save_file({name: weights[name] for name in held}, folder / file)
    index = {"weight_map": {name: file for file, held in parts.items() for name in held}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").unlink()
    config = json.loads((folder / "config.json").read_text())
    config |= {"transformers_version": "9.0", "dtype": "bfloat16"}
    (folder / "config.json").write_text(json.dumps(config, indent=4))
    assert fingerprint(folder, {}) == before


def test_what_matters_changes_it(
    folder: Path, spoil: Spoil, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_WHOLE", 1 << 10)  # so that large tensors are read in pieces
    seen = {fingerprint(folder, {}), fingerprint(folder, {"image_mean": [0.5]})}
    for name in sorted(load_file(folder / "model.safetensors")):
        spoil(folder, lambda tensors, name=name: tensors[name].mul_(1.01).add_(1e-3))  # type: ignore[misc]
        seen.add(fingerprint(folder, {}))
    tensors = len(load_file(folder / "model.safetensors"))
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["rms_norm_eps"] = 1e-3
    (folder / "config.json").write_text(json.dumps(config))
    seen.add(fingerprint(folder, {}))
    assert len(seen) == 2 + tensors + 1


def test_little_is_read_of_a_large_tensor() -> None:
    pieces = module._pieces(100, 100 + (1 << 30))
    assert sum(count for _, count in pieces) == 1 << 16
    assert pieces[0][0] == 100
    assert sum(pieces[-1]) == 100 + (1 << 30)
    assert module._pieces(8, 50) == [(8, 42)]
