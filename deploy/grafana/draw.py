"""Draws the dashboard without Grafana: every panel's own queries, answered by a Prometheus.

    python deploy/grafana/draw.py --prometheus http://127.0.0.1:9090 --minutes 5

The figures are Prometheus' own answers; only the drawing is matplotlib's instead of Grafana's.
"""

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import httpx
import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

HERE = Path(__file__).parent
COLOURS = ["#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#8ab8ff", "#fade2a"]
BACK, PANEL, INK, FAINT = "#111217", "#181b1f", "#d8d9da", "#3a3d44"
SCALES = {
    "s": [(1, "s"), (1e-3, "ms"), (1e-6, "µs")],
    "bytes": [(1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1, "B")],
    "Bps": [(1e6, "MB/s"), (1e3, "kB/s"), (1, "B/s")],
    "reqps": [(1, "/s")],
    "percentunit": [(0.01, "%")],
}

Series = tuple[str, list[float], list[float]]


def asked(prometheus: str, target: dict[str, Any], span: tuple[float, float], step: float,
          interval: str) -> list[Series]:  # fmt: skip
    """A query's series: label, seconds since the beginning, values."""
    query = target["expr"].replace("$__rate_interval", interval).replace("$model", ".*")
    reply = httpx.get(
        f"{prometheus}/api/v1/query_range",
        params={"query": query, "start": span[0], "end": span[1], "step": step},
        timeout=30,
    )
    assert reply.status_code == 200, f"{query}: {reply.text}"
    series = []
    for found in reply.json()["data"]["result"]:
        label = target["legendFormat"]
        for name, value in found["metric"].items():
            label = label.replace("{{" + name + "}}", value)
        pairs = [(at - span[0], float(value)) for at, value in found["values"]]
        series.append((label, [at for at, _ in pairs], [value for _, value in pairs]))
    return series


def scale(unit: str, most: float) -> tuple[float, str]:
    """What to divide by, and the unit that it then is."""
    known = SCALES.get(unit, [(1, "")])
    return next((each for each in known if most >= each[0]), known[-1])


def draw(panel: dict[str, Any], series: list[Series], axes: Any) -> None:
    """One panel."""
    unit = panel["fieldConfig"]["defaults"]["unit"]
    most = max((v for _, _, vs in series for v in vs if math.isfinite(v)), default=0.0)
    by, name = scale(unit, most)
    axes.set_title(panel["title"], loc="left", color=INK, fontsize=8, pad=4)
    if panel["type"] == "stat":
        axes.axis("off")
        values = [v for _, _, vs in series for v in vs if math.isfinite(v)]
        shown = f"{values[-1] / by:.3g}{' ' if name else ''}{name}" if values else "no data"
        axes.text(0.5, 0.45, shown, color=COLOURS[0], fontsize=17, ha="center", va="center")
        return
    axes.set_facecolor(PANEL)
    axes.tick_params(colors=INK, labelsize=6, length=0)
    axes.grid(color=FAINT, linewidth=0.4)
    for side in axes.spines.values():
        side.set_visible(False)
    stacked = panel["fieldConfig"]["defaults"]["custom"]["stacking"]["mode"] == "normal"
    ground: dict[float, float] = {}
    for number, (label, ats, values) in enumerate(series):
        colour = COLOURS[number % len(COLOURS)]
        heights = [v / by if math.isfinite(v) else 0.0 if stacked else math.nan for v in values]
        if stacked:
            low = [ground.get(at, 0.0) for at in ats]
            high = [a + b for a, b in zip(low, heights, strict=True)]
            axes.fill_between(ats, low, high, color=colour, alpha=0.45, linewidth=0)
            axes.plot(ats, high, color=colour, linewidth=0.9, label=label)
            ground |= dict(zip(ats, high, strict=True))
        else:
            axes.plot(ats, heights, color=colour, linewidth=1.0, label=label)
    axes.set_ylim(bottom=0)
    axes.set_ylabel(name, color=INK, fontsize=6)
    if series and any(label for label, _, _ in series):
        axes.legend(fontsize=5, loc="upper left", labelcolor=INK, facecolor=PANEL,
                    edgecolor=FAINT, framealpha=0.7)  # fmt: skip
    elif not series:
        axes.text(0.5, 0.5, "no data", color=FAINT, transform=axes.transAxes, ha="center")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--until", type=float, default=time.time(), help="Unix seconds; now.")
    parser.add_argument("--rate-interval", default="20s")
    parser.add_argument("--out", type=Path, default=Path("docs/dashboard.png"))
    given = parser.parse_args()
    dashboard = json.loads((HERE / "dashboard.json").read_text())
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    height = 1 + max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    figure = plt.figure(figsize=(17, height * 0.26), facecolor=BACK, dpi=95)
    span = (given.until - 60 * given.minutes, given.until)
    step = max(1.0, 60 * given.minutes / 200)
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        left, width = at["x"] / 24, at["w"] / 24
        top = 1 - (at["y"] + 0.5) / height
        if panel["type"] == "row":
            figure.text(0.008, top - 0.6 / height, panel["title"], color=INK, weight="bold")
            continue
        low = top - (at["h"] - 1.0) / height
        axes = figure.add_axes((left + 0.025, low, width - 0.032, (at["h"] - 2.2) / height))
        series = [
            one
            for target in panel["targets"]
            for one in asked(given.prometheus, target, span, step, given.rate_interval)
        ]
        draw(panel, series, axes)
    figure.savefig(given.out, facecolor=BACK)


if __name__ == "__main__":
    main()
