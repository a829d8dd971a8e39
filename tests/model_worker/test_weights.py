"""Shards, headers and tensors of a checkpoint's weights."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from model_worker.errors import ModelError
from model_worker.weights import check_finite, check_loaded, count_parameters

INDEX = "model.safetensors.index.json"


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Three files of weights, 42 parameters, and their index."""
    names = [f"model-{number:05d}-of-00003.safetensors" for number in (1, 2, 3)]
    for number, name in enumerate(names):
        save_file({f"layer.{number}": torch.zeros(2, 7)}, tmp_path / name)
    weight_map = {f"layer.{number}": name for number, name in enumerate(names)}
    (tmp_path / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return tmp_path


def test_parameters_are_counted_from_headers(shards: Path, tmp_path: Path) -> None:
    assert count_parameters(shards) == 42


def test_one_file_needs_no_index(tmp_path: Path) -> None:
    save_file(
        {"layer": torch.zeros(5), "scalar": torch.tensor(1.0)}, tmp_path / "model.safetensors"
    )
    assert count_parameters(tmp_path) == 6


def test_missing_shards_are_named(shards: Path) -> None:
    (shards / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(ModelError, match=r"lacks 1 of 3 files .*model-00002-of-00003\.safetensors"):
        count_parameters(shards)


def test_a_shard_that_was_cut_short_is_named(shards: Path) -> None:
    file = shards / "model-00003-of-00003.safetensors"
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(
        ModelError, match=r"model-00003-of-00003\.safetensors is damaged or cut short"
    ):
        count_parameters(shards)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"weight_map": []}'])
def test_an_index_that_is_none_is_named(shards: Path, text: str) -> None:
    (shards / INDEX).write_text(text)
    with pytest.raises(ModelError, match="is no index of weights"):
        count_parameters(shards)


def test_a_pointer_where_weights_should_be_is_named(tmp_path: Path) -> None:
    """What a clone without Git LFS leaves."""
    (tmp_path / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(ModelError, match="damaged or cut short"):
        count_parameters(tmp_path)


def test_only_a_few_of_many_missing_tensors_are_named() -> None:
    info = {"mismatched_keys": set(), "missing_keys": {f"t{number}" for number in range(9)}}
    with pytest.raises(ModelError, match=r"lacks tensors .*: t0, t1, t2 and 6 more; fetch"):
        check_loaded(Path("model"), info)
    check_loaded(Path("model"), {"mismatched_keys": set(), "missing_keys": set()})


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("place", [0, 31, 66])
def test_one_bad_value_is_found_anywhere(dtype: torch.dtype, value: float, place: int) -> None:
    bad = torch.randn(67).to(dtype)
    bad[place] = value
    with pytest.raises(ModelError, match=r"model holds NaN .* in bad; fetch"):
        check_finite(Path("model"), [("good", torch.randn(9)), ("bad", bad)])


def test_the_greatest_finite_values_and_packed_ones_pass() -> None:
    tensors = {
        "half": torch.full((9,), torch.finfo(torch.float16).max, dtype=torch.float16),
        "single": torch.full((9,), torch.finfo(torch.float32).min),
        "packed": torch.full((9,), 255, dtype=torch.uint8),
        "eight": torch.full((9,), float("nan")).to(torch.float8_e4m3fn),
        "empty": torch.empty(0),
    }
    check_finite(Path("model"), tensors.items())
