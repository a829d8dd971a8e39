"""Draws how accuracy rises with CPU time.

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

from training.phrasings import KINDS, OLD_KINDS

TOWER = ("object", "crowd", "text", "ground", "place")


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
    figure, (left, right) = plt.subplots(1, 2, figsize=(13, 5), width_ratios=(1, 2))
    rows = read(args.tower)
    for name in TOWER:
        left.plot([r["minutes"] for r in rows], [100 * r[f"held_{name}"] for r in rows], label=name)
    left.set_title("Stage 0: one frame, unseen combinations")
    rows = read(args.decoder)
    minutes = [r["minutes"] for r in rows]
    for kind in KINDS:
        shares = [100 * r[f"held_{args.frames}_kinds"][kind] for r in rows]
        right.plot(minutes, shares, "-" if kind in OLD_KINDS else "--", lw=0.6, alpha=0.35)
    for which, style in (("old", "k-"), ("new", "k--")):
        shares = [100 * r[f"held_{args.frames}_{which}"] for r in rows]
        right.plot(minutes, shares, style, label=f"all {which} kinds", lw=2.4)
    right.set_title(f"Stage 1: streams of {args.frames} frames, unseen combinations, full cache")
    for axes in (left, right):
        axes.set_xlabel("minutes of CPU time")
        axes.set_ylabel("right answers, %")
        axes.set_ylim(0, 101)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7, loc="lower right", ncols=3)
    figure.tight_layout()
    figure.savefig(args.out, dpi=110)


if __name__ == "__main__":
    main()
