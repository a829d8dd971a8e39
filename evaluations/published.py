"""What papers report, for the same benchmark. Only figures that are traced to their source;
StreamMem's for Video-MME is left out because two notes of it differ.

Budgets are visual tokens as the papers count them: what their memory never exceeds. A session of
Lookback exceeds its budget by one block between two passes (`cap_tokens`).
"""

from dataclasses import dataclass
from typing import Final

INFINIPOT: Final = "InfiniPot-V, arXiv 2506.15745v2"
STREAMMEM: Final = "StreamMem, arXiv 2508.15717, as public reading notes quote it"
HERMES: Final = "HERMES, arXiv 2601.14724v4"

_FULL: Final = 50_000


@dataclass(frozen=True)
class Figure:
    """accuracy: percent. budget: tokens, None where we have not traced it."""

    benchmark: str
    model: str
    method: str
    budget: int | None
    accuracy: float
    source: str


def _figures() -> tuple[Figure, ...]:
    rows = []

    def add(source: str, model: str, method: str, budget: int | None, **found: float) -> None:
        for benchmark, accuracy in found.items():
            rows.append(
                Figure(benchmark.replace("_", " "), model, method, budget, accuracy, source)
            )

    qwen2, qwen25, llava = "Qwen2-VL-7B", "Qwen2.5-VL-7B", "LLaVA-OneVision-7B"
    add(
        INFINIPOT,
        qwen2,
        "full cache",
        _FULL,
        videomme=63.9,
        mlvu=65.8,
        longvideobench=58.8,
        egoschema=65.2,
    )
    add(
        INFINIPOT,
        qwen2,
        "InfiniPot-V",
        6_000,
        videomme=62.8,
        mlvu=65.8,
        longvideobench=58.4,
        egoschema=65.6,
    )
    add(INFINIPOT, qwen2, "InfiniPot-V", 3_000, videomme=61.1, mlvu=64.7)
    add(INFINIPOT, qwen2, "uniform", 6_000, mlvu=61.5)
    add(INFINIPOT, qwen2, "TaR alone", 6_000, mlvu=64.5)
    add(INFINIPOT, qwen2, "VaN alone", 6_000, mlvu=63.0)
    add(INFINIPOT, qwen2, "VaN, pooled", 6_000, mlvu=64.1)
    add(STREAMMEM, qwen2, "StreamMem", 6_000, mlvu=65.9, egoschema=67.2)
    add(INFINIPOT, qwen25, "uniform", 4_000, ovobench=51.7, streamingbench=75.2)
    add(INFINIPOT, qwen25, "InfiniPot-V", 4_000, ovobench=53.6, streamingbench=76.4)
    add(HERMES, qwen25, "base model", None, ovobench=52.28, streamingbench=73.31, videomme=64.52)
    add(HERMES, qwen25, "HERMES", 4_000, ovobench=59.21, streamingbench=79.44)
    add(HERMES, qwen25, "HERMES", None, videomme=62.00)
    add(INFINIPOT, llava, "InfiniPot-V", None, rvs_ego=57.9, rvs_movie=51.4)
    add(INFINIPOT, llava, "ReKV, unbounded", None, rvs_ego=60.1, rvs_movie=53.4)
    add(STREAMMEM, llava, "StreamMem", None, rvs_ego=57.6, rvs_movie=52.7)
    add(HERMES, llava, "HERMES", 6_000, rvs_ego=60.3, rvs_movie=54.4)
    return tuple(rows)


FIGURES: Final = _figures()


def figures(benchmark: str, model: str) -> tuple[list[Figure], bool]:
    """What is published for a benchmark and a model, by its hub id or its folder's name; else for
    the benchmark with other models. And whether it is for this model."""
    every = [each for each in FIGURES if each.benchmark.split(" ")[0] == benchmark]
    mine = [each for each in every if _key(each.model) in _key(model)]
    return (mine, True) if mine else (every, False)


def _key(name: str) -> str:
    plain = name.lower().replace("llava-onevision-qwen2", "llava-onevision")
    return "".join(letter for letter in plain if letter.isalnum())
