"""What is shown of the figures on a terminal; the JSON has them all."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.recall.budget import FULL
from benchmarks.recall.rows import ALL

_Row = Mapping[str, Any]


def shown(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Tables of accuracies in percent with the half of their 95 % intervals, policies down and
    budgets across; of differences to the default policy; and of costs."""
    left_out = ("rows", "scenarios", "paired", "benchmark", "identity")
    tables: dict[str, Any] = {k: v for k, v in figures.items() if k not in left_out}
    rows: Sequence[_Row] = figures["rows"]
    whole = [row for row in rows if row["age"] == ALL and row["kind"] == ALL]
    tables["accuracy, %"] = _across(whole, _share)
    distant = [row for row in rows if row["age"] == "distant" and row["kind"] == ALL]
    tables["accuracy on the distant past, %"] = _across(distant, _share)
    against = [row for row in figures["paired"] if row["against"] != FULL]
    for age in (ALL, "distant"):
        chosen = [row for row in against if row["age"] == age]
        if chosen:
            of = "" if age == ALL else f" on the {age} past"
            tables[f"points above {chosen[0]['against']}{of}"] = _across(chosen, _points)
    tables["milliseconds a frame / a pass"] = _across(whole, _times)
    tables["KV kilobytes: visual / allocated"] = _across(whole, _bytes)
    return tables


def _across(rows: Sequence[_Row], cell: Any) -> list[dict[str, str]]:
    budgets = dict.fromkeys(row["budget"] for row in rows)
    lines: dict[tuple[float, str], dict[str, str]] = {}
    for row in sorted(rows, key=lambda row: float(row["minutes"])):
        key = row["minutes"], row["policy"]
        line = lines.setdefault(
            key,
            {"minutes": f"{row['minutes']:g}", "policy": row["policy"]}
            | dict.fromkeys(budgets, ""),
        )
        line[row["budget"]] = cell(row)
    return list(lines.values())


def _share(row: _Row) -> str:
    if row["accuracy"] is None:
        return "-"
    return f"{100 * row['accuracy']:.1f} ± {50 * (row['high'] - row['low']):.1f}"


def _points(row: _Row) -> str:
    return f"{100 * row['difference']:+.1f} ± {50 * (row['high'] - row['low']):.1f}"


def _times(row: _Row) -> str:
    if row["seconds_per_frame"] is None:
        return "-"
    of_pass = row["seconds_per_pass"]
    return f"{1e3 * row['seconds_per_frame']:.1f} / " + (f"{1e3 * of_pass:.1f}" if of_pass else "-")


def _bytes(row: _Row) -> str:
    if not row["kv_bytes"]:
        return "-"
    return f"{row['visual_bytes'] / 1e3:.0f} / {row['kv_bytes'] / 1e3:.0f}"
