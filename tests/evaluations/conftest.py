"""The miniature data sets, each written once, and an untrained model that loads in a moment."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from model_worker.engine import Engine
from tests.evaluations.datasets import WRITE
from tests.lookback.conftest import model

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
