"""The load benchmark with a few clients for a moment: what it reports, and that nobody hangs."""

import json
import os
from typing import Any

import numpy as np
import pytest

from benchmarks import BENCHMARKS, load, soak
from benchmarks.errors import OptionError
from benchmarks.tally import Tally, percentile

_FIELDS = {
    "clients", "accepted", "refused", "hung", "answers_per_second", "ttft_p99", "frame_age_p99",
    "dropped",
}  # fmt: skip


@pytest.fixture(scope="module")
def figures() -> dict[str, Any]:
    """Room for two sessions of a worker that sleeps; four clients want one, and then two have one
    with a dozen askers each."""
    return BENCHMARKS["load"](
        steps="1,4", seconds=3.0, simulate=True, workers=1, capacity=2, settle=1.5, think=0.2,
        webrtc_every=2, tokens=4, askers=(12,),
    )  # fmt: skip


def test_every_step_has_its_figures(figures: dict[str, Any]) -> None:
    json.dumps(figures, allow_nan=False)
    assert [step["clients"] for step in figures["steps"]] == [1, 4, 2]
    for step in figures["steps"]:
        assert step.keys() >= _FIELDS
        assert step["clients"] == step["accepted"] + step["refused"]
        assert step["hung"] == 0
    assert figures["workers"] == "simulated: they sleep"


def test_past_the_limit_everybody_is_told_when_to_come_and_their_place(
    figures: dict[str, Any],
) -> None:
    assert figures["steps"][1]["refused"] >= 2  # there is room for two
    told = {record["code"]: record for record in figures["told"]}
    assert told.keys() <= {"no_room", "queue_full", "too_many_questions"}
    record = told["no_room"]
    assert record["status"] == 503
    assert record["times"] == record["with_retry_after"] == record["with_place"] > 0


def test_askers_past_the_limit_are_told_when_to_ask_and_how_many_come_before(
    figures: dict[str, Any],
) -> None:
    assert figures["steps"][-1]["questions_refused"] > 0
    [record] = [r for r in figures["told"] if r["code"] == "too_many_questions"]
    assert record["times"] == record["with_retry_after"] == record["with_place"] > 0


def test_who_has_a_session_is_served_past_the_limit(figures: dict[str, Any]) -> None:
    assert all(step["answers_per_second"] > 0 for step in figures["steps"])
    assert figures["goodput_past_saturation"] is not None


def test_goodput_is_of_the_steps_past_the_limit() -> None:
    def step(clients: int, askers: int, rate: float, **past: int) -> dict[str, Any]:
        refused = {"refused": 0, "questions_refused": 0, **past}
        return {"clients": clients, "askers": askers, "answers_per_second": rate, **refused}

    within = [step(4, 1, 5.0), step(8, 1, 10.0)]
    assert load._goodput(within, 8) is None
    assert load._goodput([*within, step(16, 1, 9.5, refused=8)], 8) == 0.95
    crowded = step(8, 9, 18.0, questions_refused=3)
    assert load._goodput([*within, step(8, 4, 20.0), crowded], 8) == 0.9


@pytest.mark.parametrize("wrong", ["", "4,2", "0", "four", "4,4"])
def test_steps_that_are_none_are_refused(wrong: str) -> None:
    with pytest.raises(OptionError, match="--steps are rising"):
        BENCHMARKS["load"](steps=wrong)


def test_times_that_cannot_be_are_refused() -> None:
    with pytest.raises(OptionError, match="--seconds"):
        BENCHMARKS["load"](seconds=0.0)
    with pytest.raises(OptionError, match="--minutes"):
        BENCHMARKS["soak"](minutes=0.0)


def test_refusals_are_counted_by_what_they_say() -> None:
    tally = Tally()
    tally.refused("no_room", 503, True, True)
    tally.refused("no_room", 503, True, False)
    tally.refused("rate_limited", 429, True, False)
    assert [list(record.values()) for record in tally.told()] == [
        ["no_room", 503, 2, 2, 1],
        ["rate_limited", 429, 1, 1, 0],
    ]
    assert percentile([], 99) is None


def test_a_slope_is_known_with_its_interval() -> None:
    hours = np.arange(360) / 720
    random = np.random.default_rng(0)
    noise = random.normal(0, 1, len(hours))
    flat, low, high = soak.slope(hours, 100 + noise)
    assert low < 0 < high and abs(flat) < 2
    growing, low, high = soak.slope(hours, 100 + 50 * hours + noise)
    assert growing == pytest.approx(50, abs=2) and 0 < low < growing < high


def test_what_a_process_holds_is_read() -> None:
    held = soak.held_by(os.getpid())
    assert held["rss_bytes"] > 10_000_000 and held["descriptors"] > 2 and held["threads"] >= 1
