"""The policy check finds the better direction, and says when there is none."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import BENCHMARKS
from benchmarks.departure import departures
from benchmarks.errors import OptionError
from benchmarks.policy_check import verdict
from model_worker.engine import Engine
from model_worker.settings import SHIPPED_MODEL

check = BENCHMARKS["policy-check"]


def test_measures_each_policy_at_each_budget_and_their_differences() -> None:
    figures = check(
        fps=0.25,
        moments=3,
        policies="van,reversed_van,streammem",
        budgets="1/3",
        questions=["What?"],
    )
    assert figures["frames"] == 30
    assert [row["policy"] for row in figures["rows"]] == ["van", "reversed_van", "streammem"]
    for row in figures["rows"]:
        assert 0 <= row["low"] <= row["kl"] <= row["high"]
        assert 0 <= row["agreement"] <= 1
    (only,) = figures["differences"]
    assert (only["policy"], only["against"]) == ("van", "reversed_van")
    apart = figures["rows"][0]["kl"] - figures["rows"][1]["kl"]
    assert only["difference"] == pytest.approx(apart, abs=2e-4)
    assert figures["verdict"].startswith("at 1/3 ")


def test_the_same_memory_does_not_depart_and_a_shorter_one_does() -> None:
    engine = Engine.load(SHIPPED_MODEL)
    frames = list(np.random.default_rng(0).integers(0, 256, (20, 96, 96, 3), dtype=np.uint8))
    full = engine.open_session(budget_tokens=2000, policy="full")
    same = engine.open_session(budget_tokens=2000, policy="van")
    shorter = engine.open_session(budget_tokens=64, policy="recency")
    for session in (full, same, shorter):
        session.watch_many(frames, [float(i) for i in range(20)])
    equal, other = departures(
        engine.adapter, full, [same, shorter], "What was the first thing you saw?", 6
    )
    assert equal.kl < 1e-6
    assert equal.agreement == 1
    assert other.kl > 1e-4
    assert all(session.transcript == [] for session in (full, same, shorter))
    assert all(session.cache.scratch_length == 0 for session in (full, same, shorter))


def difference(policy: str, against: str, apart: float, significant: bool) -> dict[str, Any]:
    return {
        "policy": policy,
        "against": against,
        "budget": "1/8",
        "difference": apart,
        "significant": significant,
    }


def test_the_verdict_says_which_direction_and_whether_it_is_chance() -> None:
    clear = difference("van", "reversed_van", 0.3, True)
    assert verdict([clear]) == "at 1/8 reversed_van is better"
    helps = difference("reversed_van", "uniform", -0.1, True)
    assert verdict([clear, helps]) == "at 1/8 reversed_van is better, and better than uniform"
    useless = difference("reversed_van", "uniform", -0.1, False)
    assert verdict([clear, useless]).endswith("but no better than uniform")
    chance = difference("van", "reversed_van", 0.3, False)
    assert "neither direction is better beyond chance" in verdict([chance])
    assert "not both measured" in verdict([])


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"policies": "van,magic"}, "'magic' is no policy to compare; known: .*van"),
        ({"policies": "full"}, "'full' is no policy to compare"),
        ({"budgets": "2"}, "must be full or a share"),
        ({"moments": 1}, "moments must be at least 2"),
        ({"fps": 0.0}, "fps must be above 0"),
        ({"fps": 0.05}, "too few for 10 moments"),
        ({"video": "nowhere.mp4"}, "no file nowhere.mp4"),
        ({"model": "nowhere/at/all"}, "nowhere"),
        ({"fps": 0.4, "budgets": "1/64"}, "give larger budgets"),
    ],
)
def test_what_cannot_be_measured_is_refused(options: dict[str, Any], named: str) -> None:
    with pytest.raises(OptionError, match=named):
        check(**options)


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=tmp_path.name):
        check(model=tmp_path)
