"""Checkpoints from folders, and what is said of those that cannot be used."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers.utils import logging

from model_worker import checkpoint
from model_worker.checkpoint import (
    ModelError,
    describe_checkpoint,
    load_checkpoint,
    read_config,
    read_model_type,
)
from model_worker.engine import Engine

CPU = torch.device("cpu")


@pytest.fixture
def folder(checkpoints: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of a good checkpoint, to spoil."""
    return Path(shutil.copytree(checkpoints["llava_onevision"], tmp_path / "copy"))


def change(file: Path, **changes: Any) -> None:
    """Change or, with None, remove values of a JSON file."""
    values = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({name: v for name, v in values.items() if v is not None}))


def refusal(folder: Path, *arguments: Any) -> str:
    """What is said where a checkpoint does not load: always one line that names the folder."""
    with pytest.raises(ModelError) as raised:
        load_checkpoint(folder, CPU, torch.float32, *arguments)
    said = str(raised.value)
    assert "\n" not in said
    assert str(folder) in said
    return said


def test_the_model_type_is_read(folder: Path) -> None:
    assert read_model_type(folder) == "llava_onevision"


@pytest.mark.parametrize("text", ["{}", "no json", "[]"])
def test_a_config_without_a_model_type_is_refused(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises(ModelError, match="model_type"):
        read_model_type(folder)


def test_a_config_that_cannot_be_is_one_line(folder: Path) -> None:
    change(folder / "config.json", vision_config={"model_type": "no_such_tower"})
    assert "config.json cannot be used" in refusal(folder)


def test_a_mixture_of_experts_within_a_known_family_is_refused(
    checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(checkpoints["internvl"], tmp_path / "copy"))
    change(folder / "config.json", text_config={"model_type": "qwen3_moe", "num_experts": 8})
    with pytest.raises(ModelError, match=r"mixture of 8 experts.*a dense checkpoint of internvl"):
        read_config(folder)


def test_a_hub_id_in_the_cache_loads_without_a_network(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    kept = tmp_path / "cache" / "models--owner--tiny"
    (kept / "refs").mkdir(parents=True)
    (kept / "refs" / "v1").write_text(commit)
    shutil.copytree(folder, kept / "snapshots" / commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert Engine.load("owner/tiny", revision="v1").name == "owner/tiny"
    with pytest.raises(ModelError, match="owner/tiny is no local folder and not in the cache"):
        Engine.load("owner/tiny")


def test_an_engine_says_which_models_are_none_of_its_own(folder: Path) -> None:
    change(folder / "config.json", model_type="qwen2")
    with pytest.raises(ModelError, match=r"text-only model.*known: internvl, .*llava_onevision"):
        Engine.load(folder)


def test_a_checkpoint_is_described_without_its_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    described = describe_checkpoint(folder, torch.bfloat16)
    assert {parameter.device.type for parameter in described.model.parameters()} == {"meta"}
    assert described.model.dtype == torch.bfloat16
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match="no tokenizer that loads"):
        describe_checkpoint(folder, torch.bfloat16)


def test_without_weights_nothing_is_loaded(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    assert "holds no weights" in refusal(folder)


def test_shards_are_as_good_as_one_file_and_none_may_be_missing(folder: Path) -> None:
    whole = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    files = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    places = {name: files[index % 2] for index, name in enumerate(sorted(whole))}
    for file in files:
        held = {name: whole[name] for name in whole if places[name] == file}
        save_file(held, folder / file, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    model = load_checkpoint(folder, CPU, torch.float32).model
    name = next(name for name in whole if name.endswith("layers.2.mlp.up_proj.weight"))
    assert torch.equal(model.get_decoder().layers[2].mlp.up_proj.weight, whole[name])
    (folder / files[1]).unlink()
    assert f"lacks 1 of 2 files of weights that its index names: {files[1]}" in refusal(folder)


def test_weights_are_not_taken_from_pickles(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert "take a revision with safetensors" in refusal(folder)


@pytest.mark.parametrize("kept", [0, 6, 5000, -1])
def test_broken_weights_are_named(folder: Path, kept: int) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:kept])
    assert f"{file} is damaged or cut short" in refusal(folder)


def test_missing_tensors_are_not_made_up(folder: Path, spoil: Any) -> None:
    spoil(folder, lambda weights: [weights.pop(name) for name in list(weights) if ".0.mlp" in name])
    assert re.search(r"lacks tensors .*: .*layers\.0\.mlp.* and 4 more", refusal(folder))


def test_tensors_of_another_shape_are_not_made_up(folder: Path) -> None:
    text = json.loads((folder / "config.json").read_text())["text_config"]
    change(folder / "config.json", text_config=text | {"intermediate_size": 72})
    said = refusal(folder)
    assert re.search(r"other shapes .*: \(48, 64\) instead of \(48, 72\)", said)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_value_that_is_none_is_found_wherever_it_is(
    folder: Path, spoil: Any, value: float
) -> None:
    def put(weights: dict[str, torch.Tensor]) -> None:
        name = next(name for name in weights if name.endswith("layers.1.self_attn.k_proj.weight"))
        weights[name][17, 5] = value

    spoil(folder, put)
    assert re.search(r"NaN .* in \S*layers\.1\.self_attn\.k_proj\.weight; fetch", refusal(folder))


def test_values_beyond_the_range_of_a_dtype_are_found(folder: Path, spoil: Any) -> None:
    def put(weights: dict[str, torch.Tensor]) -> None:
        weights[next(name for name in weights if name.endswith("layers.0.mlp.up_proj.weight"))] *= (
            1e6
        )

    spoil(folder, put)
    load_checkpoint(folder, CPU, torch.bfloat16)
    with pytest.raises(ModelError, match=r"as float16 in .*up_proj.*take bfloat16"):
        load_checkpoint(folder, CPU, torch.float16)


def test_weights_that_memory_does_not_hold_are_not_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "free_bytes", lambda device: 1000)
    said = refusal(folder)
    assert "0.0 GB of memory free" in said
    assert "bfloat16" in said


@pytest.mark.parametrize("spoiled", ["tokenizer.json", "tokenizer_config.json"])
def test_a_broken_tokenizer_is_named(folder: Path, spoiled: str) -> None:
    (folder / spoiled).write_text("{")
    assert "has no tokenizer that loads" in refusal(folder)


def test_a_missing_tokenizer_is_named(folder: Path) -> None:
    for file in folder.glob("tokenizer*"):
        file.unlink()
    assert "fetch tokenizer.json" in refusal(folder)


def test_a_missing_chat_template_is_said(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    change(folder / "tokenizer_config.json", chat_template=None)
    assert "no chat template" in refusal(folder)


@pytest.mark.parametrize("name", ["chat_template.json", "preprocessor_config.json"])
@pytest.mark.parametrize("text", ["{", "[]"])
def test_settings_that_are_no_json_are_named(folder: Path, name: str, text: str) -> None:
    if name == "chat_template.json":
        (folder / "chat_template.jinja").unlink()
    (folder / name).write_text(text)
    assert str(folder / name) in refusal(folder)


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


def test_the_towers_attention_is_chosen_and_the_decoders_is_not(
    checkpoints: dict[str, Path],
) -> None:
    for name, source in checkpoints.items():
        config = load_checkpoint(source, CPU, torch.float32, "eager").model.config
        assert config.vision_config._attn_implementation == "eager", name
        assert config.text_config._attn_implementation == "sdpa", name


def test_the_towers_attention_changes_no_embedding(checkpoints: dict[str, Path]) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    found = []
    for attention in ("auto", "sdpa", "eager"):
        adapter = Engine.load(checkpoints["qwen2_5_vl"], attention=attention).adapter
        grid = adapter.grid(32, 32)
        unit = torch.stack([adapter.pixels(frame, grid)] * adapter.frames_per_unit)[None]
        with torch.inference_mode():
            found.append(adapter.encode(unit, grid))
    torch.testing.assert_close(found[0], found[1], atol=0, rtol=0)
    torch.testing.assert_close(found[0], found[2], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("attention", "words"),
    [("fast", "known: auto, sdpa, eager, flash"), ("flash_attention_2", "pip install flash-attn")],
)
def test_an_attention_that_is_not_here_is_refused(
    folder: Path, attention: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "is_flash_attn_2_available", lambda: False)
    with pytest.raises(ModelError, match=words):
        load_checkpoint(folder, CPU, torch.float32, attention)


def test_loading_leaves_the_librarys_log_as_it_was(folder: Path) -> None:
    before = logging.get_verbosity()
    load_checkpoint(folder, CPU, torch.float32)
    assert logging.get_verbosity() == before
