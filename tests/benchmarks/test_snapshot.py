"""The benchmark of snapshots at a small size."""

import json

from benchmarks import BENCHMARKS

SMALL = {
    "layers": 2,
    "hidden": 32,
    "intermediate": 16,
    "heads": 2,
    "kv_heads": 1,
    "vision_layers": 1,
    "vision_hidden": 16,
    "vision_heads": 2,
}


def test_reports_bytes_seconds_and_answers() -> None:
    figures = BENCHMARKS["snapshot"](streams=1, moments=1, warm=60, repeats=1, large=SMALL)
    json.dumps(figures, allow_nan=False)
    options = ["exact", "8-bit", "entropy"]
    assert [row["option"] for row in figures["snapshots"]] == options * 2
    assert [row["option"] for row in figures["answers"]] == options
    for rows in figures["snapshots"][:3], figures["snapshots"][3:]:
        exact, eight, entropy = (row["bytes"] for row in rows)
        assert entropy < eight < exact
        for row in rows:
            assert 0 < row["held_seconds"] <= row["written_seconds"]
            assert row["read_seconds"] > 0
    exact, *_ = figures["answers"]
    assert exact["questions"] > 0
    assert exact["same"] == 1.0
    assert exact["logit_change_most"] == 0.0
    for row in figures["answers"][1:]:
        assert 0 < row["logit_change_mean"] < 0.05
