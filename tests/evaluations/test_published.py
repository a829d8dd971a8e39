"""The papers' figures are found by the model's name."""

import pytest

from evaluations import BENCHMARKS
from evaluations.published import FIGURES, INFINIPOT, figures


@pytest.mark.parametrize(
    ("model", "benchmark", "found"),
    [
        ("Qwen/Qwen2-VL-7B-Instruct", "videomme", {63.9, 62.8, 61.1}),
        ("qwen2-vl-7b-instruct", "egoschema", {65.2, 65.6, 67.2}),
        ("Qwen/Qwen2.5-VL-7B-Instruct", "ovobench", {51.7, 53.6, 52.28, 59.21}),
        ("llava-hf/llava-onevision-qwen2-7b-ov-hf", "rvs", {57.9, 51.4, 60.1, 53.4}),
    ],
)
def test_a_models_own_figures(model: str, benchmark: str, found: set[float]) -> None:
    rows, mine = figures(benchmark, model)
    assert mine
    assert found <= {row.accuracy for row in rows}


def test_other_models_figures_are_said_to_be_others() -> None:
    for model in ("lookback-mini", "Qwen/Qwen2-VL-2B-Instruct", "Qwen/Qwen2.5-VL-3B-Instruct"):
        rows, mine = figures("mlvu", model)
        assert rows and not mine


def test_every_benchmark_has_figures_with_a_source() -> None:
    assert {row.benchmark.split(" ")[0] for row in FIGURES} == set(BENCHMARKS)
    assert all(row.source and 40 < row.accuracy < 100 for row in FIGURES)
    assert any(row.source == INFINIPOT for row in FIGURES)
