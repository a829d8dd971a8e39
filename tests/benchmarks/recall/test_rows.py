"""Shares, intervals and differences, against figures worked out by hand or by another rule."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.recall.cell import Asked, Cell, Result, StreamName
from benchmarks.recall.rows import by_scenario, paired, rows, wilson


def result(
    policy: str, right: str, budget: str = "1/8", number: int = 0, scenario: str = "busy"
) -> Result:
    """`right`: a letter a question, of kind now and seen in turn; n is wrong."""
    stream = StreamName(scenario, 5.0, number, 0, len(right))
    kinds = itertools.cycle((("now", "present"), ("seen", "distant")))
    asked = [
        Asked(kind, age, second, letter == "y", "")
        for second, (letter, (kind, age)) in enumerate(zip(right, kinds, strict=False))
    ]
    cell = Cell("m", policy, budget, "compact", stream, "noto")
    return Result(cell, asked, 300, 30, 337, 9000, 3000, 100, 0.6, 0.3)


@pytest.mark.parametrize(
    ("right", "asked", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (81, 263, 0.2553, 0.3662), (0, 0, 0, 1)],
)
def test_wilson_as_in_published_tables(right: int, asked: int, low: float, high: float) -> None:
    assert wilson(right, asked) == pytest.approx((low, high), abs=2e-4)


def test_rows_have_all_margins_and_true_sums() -> None:
    made = rows([result("tar", "yynn"), result("tar", "yyyy", number=1), result("van", "nn")])
    found = {(row["policy"], row["age"], row["kind"]): row for row in made}
    assert len(found) == len(made)
    assert found["tar", "all", "all"]["accuracy"] == 0.75
    assert found["tar", "all", "all"]["questions"] == 8
    assert found["tar", "present", "now"] == found["tar", "present", "all"] | {"kind": "now"}
    assert found["tar", "all", "seen"]["questions"] == 4
    assert ("tar", "recent", "all") not in found
    row = found["van", "all", "all"]
    assert (row["accuracy"], row["minutes"], row["budget"]) == (0.0, 5.0, "1/8")
    assert row["low"] == 0.0 < row["high"] < 1
    assert found["tar", "all", "all"]["seconds_per_frame"] == pytest.approx(1.2 / 600)
    assert found["tar", "all", "all"]["seconds_per_pass"] == pytest.approx(0.6 / 60)
    assert found["tar", "all", "all"]["kv_bytes"] == 9000
    assert found["tar", "all", "all"]["mark_bytes"] == 100


def test_a_budget_that_cannot_be_says_so_in_its_row() -> None:
    none = replace(result("tar", ""), note="too little", frames=0, passes=0)
    (row,) = rows([none])
    assert (row["accuracy"], row["questions"], row["note"]) == (None, 0, "too little")
    assert row["seconds_per_frame"] is None
    assert paired([none, result("van", "")], "van") == []
    assert by_scenario([none]) == []


def test_scenarios_are_told_apart() -> None:
    made = by_scenario([result("tar", "yn"), result("tar", "yy", scenario="quiet")])
    assert {row["scenario"]: row["accuracy"] for row in made} == {"busy": 0.5, "quiet": 1.0}


def test_differences_are_of_the_same_questions() -> None:
    ours = [result("tar", "yyny"), result("tar", "yyyy", number=1)]
    base = [result("infinipot_v", "ynnn"), result("infinipot_v", "yyny", number=1)]
    full = result("full", "yyyy", "full")
    made = paired([*ours, *base, full], "infinipot_v")
    assert {row["policy"] for row in made} == {"tar"}
    whole = next(row for row in made if row["age"] == "all")
    assert whole["difference"] == pytest.approx(3 / 8)
    assert (whole["questions"], whole["streams"]) == (8, 2)
    # By hand: sums 2 and 1 of four each, residues 0.5 and -0.5.
    error = math.sqrt(2 * (0.25 + 0.25)) / 8
    assert whole["high"] - whole["low"] == pytest.approx(2 * 1.96 * error, abs=2e-4)
    distant = next(row for row in made if row["age"] == "distant")
    assert distant["difference"] == pytest.approx(2 / 4)
    to_full = paired([*ours, *base, full], "full")
    assert {(row["policy"], row["against"]) for row in to_full} == {
        ("tar", "full"),
        ("infinipot_v", "full"),
    }
    assert to_full[0]["questions"] == 4  # there is one stream of both


def test_intervals_of_differences_cover_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        results = []
        for number in range(30):
            ease = rng.uniform(0.3, 0.7)  # of this stream for the one policy
            letters = ["".join("ny"[int(rng.random() < p)] for _ in range(8)) for p in (ease, 0.5)]
            results += [
                result("tar", letters[0], number=number),
                result("van", letters[1], number=number),
            ]
        row = next(row for row in paired(results, "van") if row["age"] == "all")
        covered += row["low"] <= 0 <= row["high"]
    assert 0.9 * 300 < covered < 300
