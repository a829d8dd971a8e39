"""Decoders in 8 and 4 bits: refusals always, arithmetic where the packages are installed."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from transformers.utils import is_bitsandbytes_available, is_torchao_available

from model_worker import quantization
from model_worker.decoding import Sampling
from model_worker.engine import Engine
from model_worker.errors import ModelError
from model_worker.quantization import find_quantizer
from model_worker.settings import SHIPPED_MODEL
from tests.model_worker.test_checkpoint import change

torchao = pytest.mark.skipif(not is_torchao_available(), reason="torchao is not installed")
bitsandbytes = pytest.mark.skipif(
    not is_bitsandbytes_available(), reason="bitsandbytes is not installed"
)
CPU = torch.device("cpu")


def test_none_needs_nothing() -> None:
    assert find_quantizer("none") is None


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("int3", "known: none, int8, int4"),
        ("int8", r"needs the package torchao or bitsandbytes.*pip install torchao"),
        ("int4", r"needs the package bitsandbytes, .*pip install bitsandbytes"),
    ],
)
def test_what_cannot_be_is_refused(
    monkeypatch: pytest.MonkeyPatch, wanted: str, words: str
) -> None:
    monkeypatch.setattr(quantization, "is_torchao_available", lambda: False)
    monkeypatch.setattr(quantization, "is_bitsandbytes_available", lambda: False)
    with pytest.raises(ModelError, match=words):
        find_quantizer(wanted)


def test_a_checkpoint_is_not_quantised_twice(
    checkpoints: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantization, "is_bitsandbytes_available", lambda: True)
    folder = Path(shutil.copytree(checkpoints["internvl"], tmp_path / "copy"))
    change(folder / "config.json", quantization_config={"quant_method": "awq", "bits": 4})
    with pytest.raises(ModelError, match="quantised already"):
        Engine.load(folder, quantization="int4")


def test_only_the_decoder_is_quantised(engines: dict[str, Engine]) -> None:
    for name, engine in engines.items():
        assert engine.adapter.model.get_decoder() is engine.adapter._decoder, name


@pytest.mark.parametrize(
    ("method", "most"),
    [
        pytest.param("_torchao_int8", 0.015, marks=torchao),
        pytest.param("_bitsandbytes_int8", 0.015, marks=bitsandbytes),
        pytest.param("_bitsandbytes_int4", 0.15, marks=bitsandbytes),
    ],
)
def test_a_quantised_layer_is_close_to_its_own(method: str, most: float) -> None:
    """Relative error of a layer with normally distributed weights, on the CPU."""
    torch.manual_seed(0)
    layers = nn.ModuleDict({"up": nn.Linear(192, 512), "norm": nn.RMSNorm(192)})
    hidden = torch.randn(20, 192)
    with torch.inference_mode():
        nn.init.normal_(layers["up"].weight)
        exact = layers["up"](hidden)
        getattr(quantization, method)(layers, CPU)
        packed = layers["up"](hidden)
    assert type(layers["up"].weight) is not nn.Parameter
    assert type(layers["norm"]) is nn.RMSNorm
    assert 0 < (packed - exact).norm() / exact.norm() < most


@bitsandbytes
def test_a_layer_that_its_kernels_cannot_take_stays_as_it_is() -> None:
    layers = nn.ModuleDict({"narrow": nn.Linear(192, 24)})
    weight = layers["narrow"].weight
    quantization._bitsandbytes_int4(layers, CPU)
    assert layers["narrow"].weight is weight


@pytest.mark.parametrize(
    "wanted",
    [
        pytest.param(
            "int8",
            marks=pytest.mark.skipif(
                not (is_torchao_available() or is_bitsandbytes_available()),
                reason="neither torchao nor bitsandbytes is installed",
            ),
        ),
        pytest.param("int4", marks=bitsandbytes),
    ],
)
def test_a_quantised_checkpoint_watches_and_answers(wanted: str) -> None:
    engine = Engine.load(SHIPPED_MODEL, quantization=wanted)
    session = engine.open_session()
    frame = np.full((224, 224, 3), 127, dtype=np.uint8)
    for second in range(3):
        session.watch(frame, float(second))
    assert "".join(session.ask("What is it now?", Sampling(max_tokens=8))).strip()
    session.close()
