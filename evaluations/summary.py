"""What the results say: accuracy with its interval, by task and group, and what was not asked."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from evaluations.benchmark import Benchmark
from evaluations.item import Item, Skip
from evaluations.published import figures

_Z: Final = 1.959964  # of 95 %


def interval(right: float, questions: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share, each 0 to 1."""
    share, squared = right / questions, _Z * _Z
    middle = (share + squared / (2 * questions)) / (1 + squared / questions)
    spread = (
        _Z
        * math.sqrt(share * (1 - share) / questions + squared / (4 * questions**2))
        / (1 + squared / questions)
    )
    return max(0.0, middle - spread), min(1.0, middle + spread)


def summarise(
    benchmark: Benchmark,
    about: Mapping[str, Any],
    items: Sequence[Item],
    records: Mapping[str, Mapping[str, Any]],
    grades: Mapping[str, Mapping[str, Any]],
    skips: Sequence[Skip],
) -> dict[str, Any]:
    """One JSON object; accuracies are percent. `items` are those that this run was to ask."""
    answered = [records[item.id] for item in items if item.id in records]
    counted: list[tuple[Mapping[str, Any], float]] = []
    for record in answered:
        score = record["score"]
        if benchmark.judged:
            grade = grades.get(record["id"])
            score = None if grade is None else float(grade["yes"])
        if score is not None and (record["chosen"] or not benchmark.leaves_out):
            counted.append((record, score))
    tasks: dict[str, list[float]] = {}
    groups: dict[tuple[str, str], list[float]] = {}
    for record, score in counted:
        tasks.setdefault(record["task"], []).append(score)
        for group in (("task", record["task"]), *record["groups"].items()):
            groups.setdefault(group, []).append(score)
    low, high = (
        interval(sum(score for _, score in counted), len(counted)) if counted else (None, None)
    )
    published, same_model = figures(benchmark.name, str(about["model"]))
    return {
        **about,
        "title": benchmark.title,
        "questions": len(items),
        "answered": len(answered),
        "scored": len(counted),
        "unknown": sum(record["answer"] is None for record in answered),
        "named_no_option": sum(not record["chosen"] for record in answered),
        "asked_late": sum(record["late"] > 0 for record in answered),
        "subtitles_left_out": sum(
            record["subtitles"][1] > record["subtitles"][0] for record in answered
        ),
        "skipped": dict(Counter(skip.reason for skip in skips)),
        "skips": [asdict(skip) for skip in skips],
        "kv_bytes": max((record["kv_bytes"] for record in answered), default=None),
        "accuracy": 100 * benchmark.overall(tasks) if tasks else None,
        "accuracy_is": f"mean {benchmark.average}",
        "mean_of_questions": _mean([score for _, score in counted]),
        "low": low and 100 * low,
        "high": high and 100 * high,
        "mean_of_tasks": _mean([sum(each) / len(each) for each in tasks.values()]),
        "grade": _grade(answered, grades),
        "rows": [_row(group, name, scores) for (group, name), scores in groups.items()],
        "published": [asdict(figure) for figure in published],
        "published_for_this_model": same_model,
    }


def _row(group: str, name: str, scores: Sequence[float]) -> dict[str, Any]:
    low, high = interval(sum(scores), len(scores))
    return {
        "group": group,
        "name": name,
        "accuracy": _mean(scores),
        "low": 100 * low,
        "high": 100 * high,
        "questions": len(scores),
    }


def _mean(scores: Sequence[float]) -> float | None:
    return 100 * sum(scores) / len(scores) if scores else None


def _grade(
    answered: Sequence[Mapping[str, Any]], grades: Mapping[str, Mapping[str, Any]]
) -> float | None:
    """The judge's marks, 0 to 5, in the mean."""
    marks = [grades[record["id"]]["mark"] for record in answered if record["id"] in grades]
    return sum(marks) / len(marks) if marks else None
