"""A tiny untrained model whose answers have just as many letters as they may."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.faults.figures import Figures
from tests.model_worker.conftest import build_llava

FIGURES = Figures()


@pytest.fixture(scope="session")
def figures() -> Figures:
    return FIGURES


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It writes letters and never the end."""
    torch.manual_seed(0)
    model, tokenizer = build_llava()
    letters = set(tokenizer.convert_tokens_to_ids([chr(c) for c in range(ord("a"), ord("z") + 1)]))
    with torch.no_grad():
        for token in range(model.lm_head.weight.shape[0]):
            if token not in letters:
                model.lm_head.weight[token] = 0.0
    folder = tmp_path_factory.mktemp("checkpoint")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if not FIGURES.rows:
        return
    terminalreporter.section("faults")
    for line in FIGURES.lines():
        terminalreporter.write_line(line)
    path = os.environ.get("LOOKBACK_FAULTS_JSON")
    if path:
        FIGURES.write(Path(path))
