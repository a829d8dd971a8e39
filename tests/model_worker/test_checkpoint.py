"""Checkpoints from folders, and what is said of those that cannot be used."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from model_worker.checkpoint import ModelError, load_checkpoint, read_model_type, resolve_folder

CPU = torch.device("cpu")


@pytest.fixture
def folder(checkpoints: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of a good checkpoint, to spoil."""
    return Path(shutil.copytree(checkpoints["llava_onevision"], tmp_path / "copy"))


def test_a_folder_is_its_own_checkpoint(folder: Path) -> None:
    assert resolve_folder(folder) == folder
    assert resolve_folder(str(folder)) == folder
    assert read_model_type(folder) == "llava_onevision"


def test_a_folder_without_a_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"config\.json"):
        resolve_folder(tmp_path)


@pytest.mark.parametrize("name", ["nowhere", "/no/such/folder", "./no/such", "a/b/c"])
def test_what_is_neither_folder_nor_hub_id_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match="hub id"):
        resolve_folder(name)


def test_a_hub_that_is_out_of_reach_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="nobody/nothing is no local folder and could not"):
        resolve_folder("nobody/nothing")


@pytest.mark.parametrize("text", ["{}", "no json", "[]"])
def test_a_config_without_a_model_type_is_refused(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises(ModelError, match="model_type"):
        read_model_type(folder)


def test_broken_weights_are_one_clear_error(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(ModelError, match="does not load"):
        load_checkpoint(folder, CPU, torch.float32)


def test_a_missing_chat_template_is_said(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings.pop("chat_template", None)
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(ModelError, match="no chat template"):
        load_checkpoint(folder, CPU, torch.float32)


def test_the_processors_template_and_settings_are_read(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": "{{ 1 }}"}))
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.1, 0.2, 0.3]}))
    loaded = load_checkpoint(folder, CPU, torch.float32)
    assert loaded.chat_template == "{{ 1 }}"
    assert loaded.preprocessing == {"image_mean": [0.1, 0.2, 0.3]}
    nested = {"video_processor": {"image_mean": [0.5, 0.5, 0.5]}}
    (folder / "processor_config.json").write_text(json.dumps(nested))
    preprocessing = load_checkpoint(folder, CPU, torch.float32).preprocessing
    assert preprocessing == nested["video_processor"]
