"""Visual tokens of many rendered frames, computed once by the frozen tower.

Stage 1 composes its streams from this bank: a frame costs a look-up, not a rendering and a pass
through the tower.

    python -m training.bank --tower runs/tower/state.pt --out runs/bank.pt
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from training.checkpoint import SIDE
from training.render import Picture, still, through_codec
from training.tower import load
from training.world import COLOUR_NAMES, OBJECT_NAMES, PLACE_NAMES

COMBINATIONS = len(OBJECT_NAMES) * len(PLACE_NAMES) * len(COLOUR_NAMES)


def combination_index(obj: int, place: int, colour: int) -> int:
    """Where a combination's frames start, in units of `variants`; the empties come last."""
    if obj < 0:
        return COMBINATIONS + colour
    return (obj * len(PLACE_NAMES) + place) * len(COLOUR_NAMES) + colour


def combinations() -> list[tuple[int, int, int]]:
    """All (object, place, colour), then the empty scenes, in the order of the bank."""
    scenes = [
        (o, p, c)
        for o in range(len(OBJECT_NAMES))
        for p in range(len(PLACE_NAMES))
        for c in range(len(COLOUR_NAMES))
    ]
    return scenes + [(-1, 0, c) for c in range(len(COLOUR_NAMES))]


class Renderings(IterableDataset[Tensor]):
    """One item per combination: pictures uint8 [variants, side, side, 3]."""

    def __init__(self, variants: int, seed: int) -> None:
        self.variants, self.seed = variants, seed

    def __iter__(self) -> Iterator[Tensor]:
        info = torch.utils.data.get_worker_info()
        share, of = (info.id, info.num_workers) if info else (0, 1)
        for i, (obj, place, colour) in enumerate(combinations()):
            if i % of != share:
                continue
            rng = np.random.default_rng((self.seed, i))
            count = self.variants * (4 if obj < 0 else 1)
            pictures: list[Picture] = [
                still(None if obj < 0 else obj, place, colour, SIDE, rng) for _ in range(count)
            ]
            # A quarter goes through H.264 at a low rate, as a camera's stream would.
            quarter = count // 4
            coded = through_codec(pictures[:quarter], "libx264", int(rng.integers(30, 200)) * 1000)
            pictures[:quarter] = list(coded)
            yield torch.from_numpy(np.stack(pictures))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tower", type=Path, required=True, help="its state, or a checkpoint")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--variants", type=int, default=16)
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    _, stage = load(args.tower)
    stage.eval()
    begun = time.monotonic()
    # One loading process keeps the order of the combinations.
    loader = DataLoader(Renderings(args.variants, args.seed), None, num_workers=1)
    with torch.inference_mode():
        parts = [stage.features(pictures) for pictures in loader]
    scenes, empties = torch.cat(parts[:COMBINATIONS]), torch.cat(parts[COMBINATIONS:])
    torch.save({"scenes": scenes, "empties": empties, "variants": args.variants}, args.out)
    print(f"{len(scenes)} + {len(empties)} frames in {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
