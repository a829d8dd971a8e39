"""The miniature data sets, each written once, and an untrained model that loads in a moment."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from model_worker.engine import Engine
from tests.evaluations.datasets import WRITE
from tests.lookback.conftest import model
from tests.model_worker.conftest import BUILDERS

torch.set_num_threads(1)

__all__ = ["model"]

Dataset = Callable[[str], Path]


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("benchmarks")
    for name, write in WRITE.items():
        write(folder / name)
    return folder


@pytest.fixture
def dataset(written: Path, tmp_path: Path) -> Dataset:
    """A copy of a benchmark's folder, to be damaged at will."""

    def copy(name: str) -> Path:
        return Path(shutil.copytree(written / name, tmp_path / name))

    return copy


@pytest.fixture(scope="session")
def engine(model: Path) -> Engine:
    return Engine.load(model, device="cpu", threads=1)


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """A tiny Qwen2.5-VL: two frames a unit, and answers that hang on every token."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("qwen")
    built, tokenizer = BUILDERS["qwen2_5_vl"]()
    built.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return Engine.load(folder, device="cpu", threads=1)
