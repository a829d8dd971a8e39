"""What the results say: accuracy with its interval, by task and group, and what was not asked."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from evaluations.benchmark import Benchmark, MeanOfTasks
from evaluations.item import Item, Skip
from evaluations.published import figures

_Z: Final = 1.959964  # of 95 %


Scores = dict[str, list[float]]
"""Of each task, an answer a number."""


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


def _interval(scores: Scores) -> tuple[float, float]:
    """The 95 % interval of the mean of tasks, each 0 to 1. A task's variance is taken as Agresti
    and Coull do, so that one without a wrong answer is not certain."""
    middle, variance = 0.0, 0.0
    for each in scores.values():
        smoothed = (sum(each) + _Z * _Z / 2) / (len(each) + _Z * _Z)
        middle += sum(each) / len(each)
        variance += smoothed * (1 - smoothed) / (len(each) + _Z * _Z)
    middle, spread = middle / len(scores), _Z * math.sqrt(variance) / len(scores)
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
    tasks: Scores = {}
    groups: dict[tuple[str, str], Scores] = {}
    for record in answered:
        score = _score(benchmark, record, grades)
        if score is None:
            continue
        task = record["task"]
        tasks.setdefault(task, []).append(score)
        for group in (("task", task), *record["groups"].items()):
            groups.setdefault(group, {}).setdefault(task, []).append(score)
    published, same_model = figures(benchmark.name, str(about["model"]))
    shown = [record["subtitles"] for record in answered]
    every = [score for each in tasks.values() for score in each]
    return {
        **about,
        "title": benchmark.title,
        "questions": len(items),
        "answered": len(answered),
        "scored": len(every),
        "unknown": sum(record["answer"] is None for record in answered),
        "named_no_option": sum(not record["chosen"] for record in answered),
        "asked_late": sum(record["late"] > 0 for record in answered),
        "subtitles_left_out": sum(each[0] < each[1] for each in shown),
        "skipped": dict(Counter(skip.reason for skip in skips)),
        "skips": [asdict(skip) for skip in skips],
        "kv_bytes": max((record["kv_bytes"] for record in answered), default=None),
        **(_figure(benchmark, tasks) if tasks else dict.fromkeys(("accuracy", "low", "high"))),
        "accuracy_is": f"mean {benchmark.average}",
        "mean_of_questions": 100 * sum(every) / len(every) if every else None,
        "grade": _grade(answered, grades),
        "rows": [
            {"group": group, "name": name, **_figure(benchmark, scores)}
            | {"questions": sum(map(len, scores.values()))}
            for (group, name), scores in sorted(groups.items(), key=lambda each: _order(each[0]))
        ],
        "published": [asdict(figure) for figure in published],
        "published_for_this_model": same_model,
    }


def _order(group: tuple[str, str]) -> tuple[bool, str]:
    """Tasks first, as they come; then group by group."""
    return group[0] != "task", group[0]


def _score(
    benchmark: Benchmark, record: Mapping[str, Any], grades: Mapping[str, Mapping[str, Any]]
) -> float | None:
    """None for an answer that does not count, or whose right answer is not known."""
    if benchmark.judged:
        grade = grades.get(record["id"])
        return None if grade is None else float(grade["yes"])
    if benchmark.leaves_out and not record["chosen"]:
        return None
    score: float | None = record["score"]
    return score


def _figure(benchmark: Benchmark, scores: Scores) -> dict[str, float]:
    """The benchmark's own figure of these scores, and its interval."""
    every = [score for each in scores.values() for score in each]
    wilson = len(scores) == 1 or not isinstance(benchmark, MeanOfTasks)
    low, high = interval(sum(every), len(every)) if wilson else _interval(scores)
    return {"accuracy": 100 * benchmark.overall(scores), "low": 100 * low, "high": 100 * high}


def _grade(
    answered: Sequence[Mapping[str, Any]], grades: Mapping[str, Mapping[str, Any]]
) -> float | None:
    """The judge's marks, 0 to 5, in the mean."""
    marks = [grades[record["id"]]["mark"] for record in answered if record["id"] in grades]
    return sum(marks) / len(marks) if marks else None
