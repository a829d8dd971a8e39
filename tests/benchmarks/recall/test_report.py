"""What is shown on a terminal is what the rows say."""

from dataclasses import replace

from benchmarks.recall.report import shown
from benchmarks.recall.rows import paired, rows
from tests.benchmarks.recall.test_rows import result


def test_tables() -> None:
    results = [
        result("full", "yyyy", "full"),
        result("infinipot_v", "yynn"),
        result("tar", "yyyn"),
        replace(result("tar", "", "1/32"), frames=0, passes=0, kv_bytes=0),
    ]
    figures = {
        "benchmark": "recall",
        "model": "mini",
        "rows": rows(results),
        "scenarios": [],
        "paired": paired(results, "infinipot_v"),
    }
    tables = shown(figures)
    assert tables["model"] == "mini"
    assert "rows" not in tables
    whole = {line["policy"]: line for line in tables["accuracy, %"]}
    assert whole["full"]["full"] == "100.0 ± 24.5"
    assert (whole["tar"]["1/8"], whole["tar"]["1/32"]) == ("75.0 ± 32.7", "-")
    assert whole["infinipot_v"]["full"] == ""
    (gain,) = tables["points above infinipot_v"]
    assert gain["1/8"].startswith("+25.0 ±")
    times = {line["policy"]: line for line in tables["milliseconds a frame / a pass"]}
    assert (times["tar"]["1/8"], times["tar"]["1/32"]) == ("2.0 / 10.0", "-")
    sizes = {line["policy"]: line for line in tables["KV kilobytes: visual / allocated"]}
    assert (sizes["tar"]["1/8"], sizes["tar"]["1/32"]) == ("3 / 9", "-")
