"""Draws the learning curves of both stages as one picture.

    python -m training.curve --tower runs/tower/log.jsonl --decoder runs/decoder/log.jsonl \
        runs/decoder2/log.jsonl --out training/curve.png

Logs of the decoder that went on from one another stand side by side, minutes added up.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

from training.questions import KINDS


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of a log."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def in_a_row(logs: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The rows of all logs, each log's minutes counted from the end of the one before."""
    rows: list[dict[str, Any]] = []
    for log in logs:
        begun = rows[-1]["minutes"] if rows else 0.0
        rows += [row | {"minutes": begun + row["minutes"]} for row in log]
    return rows


def share_of(row: dict[str, Any], key: str, kind: str) -> float:
    """Right answers of a kind in %; not a number where the kind did not exist yet."""
    return 100 * float(row[key].get(kind, "nan"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tower", type=Path, required=True)
    parser.add_argument("--decoder", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--frames", type=int, default=60)
    args = parser.parse_args()
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.2), width_ratios=(1, 2))
    rows = read(args.tower)
    for name in ("object", "place", "colour"):
        left.plot([r["minutes"] for r in rows], [100 * r[f"held_{name}"] for r in rows], label=name)
    left.set_title("Stage 0: one frame, unseen combinations")
    logs = [read(path) for path in args.decoder]
    rows = in_a_row(logs)
    key = f"held_{args.frames}_kinds"
    for kind in KINDS:
        right.plot(
            [r["minutes"] for r in rows], [share_of(r, key, kind) for r in rows], label=kind, lw=1
        )
    overall = [100 * r[f"held_{args.frames}"] for r in rows]
    right.plot([r["minutes"] for r in rows], overall, "k", lw=2.2, label="overall")
    right.set_title(f"Stage 1: streams of {args.frames} frames, unseen combinations, full cache")
    for axes in (left, right):
        axes.set_xlabel("minutes on two shared cores")
        axes.set_ylabel("right answers, %")
        axes.set_ylim(0, 101)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8, loc="lower right", ncols=2)
    figure.tight_layout()
    figure.savefig(args.out, dpi=110)


if __name__ == "__main__":
    main()
