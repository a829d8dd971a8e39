"""A cell is the same in every run, and a result comes back as it was written."""

import json
from dataclasses import replace

import pytest

from benchmarks.recall.cell import Cell, Result, StreamName, make
from benchmarks.recall.script import write
from model_worker.memory.policies.recency import Recency
from tests.benchmarks.recall.test_rows import result


def test_what_makes_a_cell_another_one() -> None:
    stream = StreamName("busy", 1.0, 0, 0, 22)
    cell = Cell("m@1", "tar", "1/8", "compact", stream, "noto")
    assert cell.key == replace(cell).key
    others = [
        replace(cell, model="m@2"),
        replace(cell, policy="van"),
        replace(cell, budget="1/16"),
        replace(cell, positions="native"),
        replace(cell, art="openmoji"),
        replace(cell, edition=0),
        *(
            replace(cell, stream=replace(stream, **{name: value}))
            for name, value in {
                "scenario": "quiet", "minutes": 5.0, "number": 1, "seed": 1, "questions": 44,
            }.items()
        ),
    ]  # fmt: skip
    assert len({each.key for each in (cell, *others)}) == 12


def test_a_result_survives_its_file() -> None:
    made = result("tar", "ynyn")
    assert Result.of(json.loads(json.dumps(made.record()))) == made
    with pytest.raises((KeyError, TypeError)):
        Result.of({"cell": {"policy": "tar"}})


def test_a_name_is_a_whole_stream() -> None:
    name = StreamName("quiet", 0.5, 3, 9, 1)
    script = name.script()
    assert script == write(script.scenario, 30, 3, 9)
    assert script.scenario.name == "quiet"


def test_policies_are_made_anew_by_name_and_from_what_is_given() -> None:
    given = Recency(recent_ratio=0.25)
    copied = make("mine", {"mine": given})
    assert copied == given
    assert copied is not given
    assert make("mine", {"mine": Recency}) == Recency()
    assert make("tar", {"tar": None}).name == "tar"
    assert make("full", None).name == "infinipot_v"  # which has nothing to do
    with pytest.raises(ValueError, match="unknown policy"):
        make("tra", None)
