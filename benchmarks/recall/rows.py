"""What came out, put together: accuracies with their intervals, and differences of policies."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final

from benchmarks.recall.budget import FULL
from benchmarks.recall.cell import Asked, Result
from benchmarks.recall.questions import AGES, KINDS

ALL: Final = "all"
Z: Final = 1.96


def wilson(right: int, asked: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    if asked == 0:
        return 0.0, 1.0
    share = right / asked
    middle = share + Z * Z / (2 * asked)
    half = Z * math.sqrt(share * (1 - share) / asked + Z * Z / (4 * asked * asked))
    scale = 1 + Z * Z / asked
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def rows(results: Sequence[Result]) -> list[dict[str, Any]]:
    """A row for each policy, budget, length, age and kind, and for all ages and kinds together."""
    made = []
    for (policy, budget, minutes), group in _grouped(results).items():
        cost = _cost(group)
        asked = [each for result in group for each in result.asked]
        for age in (ALL, *AGES):
            for kind in (ALL, *KINDS):
                chosen = [each for each in asked if _is(each, age, kind)]
                if chosen or (age == kind == ALL):
                    names = {"policy": policy, "budget": budget, "minutes": minutes}
                    made.append(names | {"age": age, "kind": kind} | _share(chosen) | cost)
    return made


def by_scenario(results: Sequence[Result]) -> list[dict[str, Any]]:
    """A row for each policy, budget, length and scenario."""
    made = []
    for (policy, budget, minutes), group in _grouped(results).items():
        scenarios = dict.fromkeys(result.cell.stream.scenario for result in group)
        for scenario in scenarios:
            asked = [
                each
                for result in group
                if result.cell.stream.scenario == scenario
                for each in result.asked
            ]
            names = {"policy": policy, "budget": budget, "minutes": minutes}
            if asked:
                made.append(names | {"scenario": scenario} | _share(asked))
    return made


def paired(results: Sequence[Result], base: str) -> list[dict[str, Any]]:
    """How much more often each policy is right than policy `base` at the same budget (`base`
    "full": than the memory that is never compressed), on the same streams and questions.

    `low` and `high` are the 95 % interval of the difference, whose error is taken from stream to
    stream, for questions about one stream are not independent.
    """
    groups = _grouped(results)
    made = []
    for (policy, budget, minutes), group in groups.items():
        other = groups.get((base, FULL if base == FULL else budget, minutes))
        if other is None or policy in (base, FULL):
            continue
        against = {result.cell.stream: result for result in other}
        for age in (ALL, *AGES):
            differences = [
                [
                    int(ours.right) - int(theirs.right)
                    for ours, theirs in zip(
                        result.asked, against[result.cell.stream].asked, strict=True
                    )
                    if _is(ours, age, ALL)
                ]
                for result in group
                if result.asked
                and result.cell.stream in against
                and against[result.cell.stream].asked
            ]
            differences = [each for each in differences if each]
            if differences:
                names = {"policy": policy, "against": base, "budget": budget, "minutes": minutes}
                made.append(names | {"age": age} | _difference(differences))
    return made


def _grouped(results: Iterable[Result]) -> dict[tuple[str, str, float], list[Result]]:
    groups: dict[tuple[str, str, float], list[Result]] = defaultdict(list)
    for result in results:
        cell = result.cell
        groups[cell.policy, cell.budget, cell.stream.minutes].append(result)
    return groups


def _is(asked: Asked, age: str, kind: str) -> bool:
    return age in (ALL, asked.age) and kind in (ALL, asked.kind)


def _share(asked: Sequence[Asked]) -> dict[str, Any]:
    right = sum(each.right for each in asked)
    low, high = wilson(right, len(asked))
    return {
        "accuracy": round(right / len(asked), 4) if asked else None,
        "low": round(low, 4) if asked else None,
        "high": round(high, 4) if asked else None,
        "questions": len(asked),
    }


def _cost(group: Sequence[Result]) -> dict[str, Any]:
    """Bytes and times of a group, in which all have the same sizes."""
    frames, passes = sum(each.frames for each in group), sum(each.passes for each in group)
    first = group[0]
    return {
        "kv_bytes": first.kv_bytes,
        "visual_bytes": first.visual_bytes,
        "mark_bytes": first.mark_bytes,
        "cap_tokens": first.cap_tokens,
        "seconds_per_frame": _mean(sum(each.frame_seconds for each in group), frames),
        "seconds_per_pass": _mean(sum(each.pass_seconds for each in group), passes),
        "note": first.note,
    }


def _mean(seconds: float, count: int) -> float | None:
    return round(seconds / count, 6) if count else None


def _difference(by_stream: Sequence[Sequence[int]]) -> dict[str, Any]:
    """The mean difference and its interval; of one stream alone the questions' own."""
    count = sum(len(each) for each in by_stream)
    mean = sum(sum(each) for each in by_stream) / count
    streams = len(by_stream)
    if streams > 1:
        residues = [sum(each) - len(each) * mean for each in by_stream]
        scale = streams / (streams - 1)
    else:
        residues = [each - mean for each in by_stream[0]]
        scale = count / max(1, count - 1)
    error = math.sqrt(scale * sum(residue**2 for residue in residues)) / count
    return {
        "difference": round(mean, 4),
        "low": round(mean - Z * error, 4),
        "high": round(mean + Z * error, 4),
        "questions": count,
        "streams": streams,
    }
