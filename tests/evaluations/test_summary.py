"""What the results say, and how sure that is."""

from pathlib import Path
from typing import Any

import pytest

from evaluations import BENCHMARKS
from evaluations.item import Item, Skip
from evaluations.summary import interval, summarise

ABOUT: dict[str, Any] = {"model": "m", "policy": "tar", "budget_tokens": 6000, "cap_tokens": 8000}


def record(id: str, task: str, score: float | None, **more: Any) -> dict[str, Any]:
    given = {"groups": {}, "chosen": "A", "answer": "A", "late": 0.0, "subtitles": [0, 0]}
    return {"id": id, "task": task, "score": score, "kv_bytes": 7, **given, **more}


def summed(
    name: str, *records: dict[str, Any], skips: list[Skip] | None = None, **more: Any
) -> dict[str, Any]:
    items = [Item(str(each["id"]), str(each["task"]), Path("a"), "?", "A") for each in records]
    found = {str(each["id"]): each for each in records}
    return summarise(BENCHMARKS[name], ABOUT | more, items, found, {}, skips or [])


@pytest.mark.parametrize(
    ("right", "questions", "low", "high"),
    [(0, 10, 0.0, 0.278), (5, 10, 0.237, 0.763), (10, 10, 0.722, 1.0), (628, 1000, 0.598, 0.657)],
)
def test_intervals_are_wilsons(right: int, questions: int, low: float, high: float) -> None:
    assert interval(right, questions) == pytest.approx((low, high), abs=1e-3)


def test_the_benchmarks_own_mean_and_that_of_all_questions() -> None:
    records = [record(str(i), "count", 1.0) for i in range(9)] + [record("x", "ego", 0.0)]
    of_tasks, of_questions = summed("mlvu", *records), summed("streamingbench", *records)
    assert (of_tasks["accuracy"], of_questions["accuracy"]) == (50.0, 90.0)
    assert of_tasks["mean_of_questions"] == 90.0
    assert of_tasks["low"] < 50 < of_tasks["high"]
    assert of_questions["low"] < 90 < of_questions["high"]
    assert [(row["name"], row["accuracy"], row["questions"]) for row in of_tasks["rows"]] == [
        ("count", 100.0, 9),
        ("ego", 0.0, 1),
    ]


def test_a_modes_figure_is_the_mean_of_its_tasks() -> None:
    backward = {"groups": {"mode": "backward"}}
    records = [record(str(i), "EPM", 1.0, **backward) for i in range(3)]
    found = summed("ovobench", *records, record("x", "HLD", 0.0, **backward))
    assert [row["name"] for row in found["rows"]] == ["EPM", "HLD", "backward"]
    mode = found["rows"][-1]
    assert (mode["accuracy"], mode["questions"]) == (50.0, 4)


def test_an_answer_without_an_option_counts_as_the_benchmark_has_it() -> None:
    records = [record("a", "t", 1.0), record("b", "t", 0.0, chosen="")]
    left_out, wrong = summed("videomme", *records), summed("streamingbench", *records)
    assert (left_out["accuracy"], left_out["scored"]) == (100.0, 1)
    assert (wrong["accuracy"], wrong["scored"]) == (50.0, 2)
    assert left_out["named_no_option"] == wrong["named_no_option"] == 1


def test_what_was_not_asked_is_counted_by_reason_and_never_scored() -> None:
    skips = [
        Skip("x", "no video", "a"),
        Skip("y", "no video", "b"),
        Skip("z", "malformed row", "c"),
    ]
    found = summed("mlvu", record("a", "t", 1.0), skips=skips)
    assert found["skipped"] == {"no video": 2, "malformed row": 1}
    assert found["accuracy"] == 100.0
    assert found["skips"][0] == {"id": "x", "reason": "no video", "detail": "a"}


def test_nothing_scored_is_no_figure() -> None:
    found = summed("egoschema", record("a", "hidden", None, answer=None))
    assert (found["accuracy"], found["low"], found["scored"], found["unknown"]) == (
        None,
        None,
        0,
        1,
    )
    assert found["rows"] == []


def test_the_papers_figures_for_the_model_stand_beside_it() -> None:
    found = summed("mlvu", record("a", "t", 1.0), model="Qwen/Qwen2-VL-7B-Instruct")
    assert found["published_for_this_model"]
    assert (65.8, 6000) in [(each["accuracy"], each["budget"]) for each in found["published"]]
    assert not summed("mlvu", record("a", "t", 1.0))["published_for_this_model"]
