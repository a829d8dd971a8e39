"""Draws the learning curves of both stages as one picture.

    python -m training.curve --tower runs/tower/log.jsonl --decoder runs/decoder/log.jsonl \
        --out training/curve.png
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tower", type=Path, required=True)
    parser.add_argument("--decoder", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--frames", type=int, default=60)
    args = parser.parse_args()
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.2), width_ratios=(1, 2))
    rows = read(args.tower)
    for name in ("object", "place", "colour"):
        left.plot([r["minutes"] for r in rows], [100 * r[f"held_{name}"] for r in rows], label=name)
    left.set_title("Stage 0: one frame, unseen combinations")
    rows = read(args.decoder)
    key = f"held_{args.frames}_kinds"
    for kind in KINDS:
        right.plot(
            [r["minutes"] for r in rows], [100 * r[key][kind] for r in rows], label=kind, lw=1
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
