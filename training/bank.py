"""Visual tokens of many rendered takes, computed once by the frozen tower, in half precision.

python -m training.bank --tower runs/tower/state.pt --out runs/bank.pt
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset
from transformers import LlavaOnevisionForConditionalGeneration

from training.checkpoint import SIDE, build_model, build_tokenizer
from training.render import Picture, through_codec
from training.running import HAS_AMX
from training.sight import Look, Sight, Thing, picture
from training.takes import Drawer, Take
from training.tower import Stage0

VARIANTS_PLAIN, VARIANTS = 5, 3


@dataclass(frozen=True, slots=True)
class Stored:
    """A take and where its pictures are: those of shot i are rows[i] to rows[i + 1]."""

    take: Take
    rows: tuple[int, ...]


def render(take: Take, held_out: bool, rng: np.random.Generator) -> list[list[Picture]]:
    """The pictures of every shot, a quarter of the takes after H.264 at a low rate."""
    look = Look.draw(take.shots[0].ground, take.most_things, SIDE, rng, held_out, take.plain)
    count = VARIANTS_PLAIN if take.plain else VARIANTS
    shots = [[picture(sight, look, rng) for _ in range(count)] for sight in take.shots]
    if rng.random() < 0.25:
        rate = int(rng.integers(40, 250)) * 1000
        coded = list(through_codec([p for shot in shots for p in shot], "libx264", rate))
        shots = [coded[i * count : (i + 1) * count] for i in range(len(shots))]
    return shots


class Renderings(IterableDataset[tuple[Take, list[int], Tensor]]):
    """Takes with the number of pictures of each shot, and the pictures."""

    def __init__(self, takes: int, seed: int, held_out: bool) -> None:
        self.takes, self.seed, self.held_out = takes, seed, held_out

    def __iter__(self) -> Iterator[tuple[Take, list[int], Tensor]]:
        info = torch.utils.data.get_worker_info()
        share, of = (info.id, info.num_workers) if info else (0, 1)
        rng = np.random.default_rng((self.seed, self.held_out, share))
        drawer = Drawer(rng, self.held_out)
        for _ in range(share, self.takes, of):
            take = drawer.draw()
            shots = render(take, self.held_out, rng)
            pictures = np.stack([p for shot in shots for p in shot])
            yield take, [len(shot) for shot in shots], torch.from_numpy(pictures)


def pack(take: Take) -> list[object]:
    """Plain lists, which `torch.save` writes and a weights-only load reads."""
    shots = [[[list(t) for t in s.things], s.ground, s.text, s.text_place] for s in take.shots]
    return [shots, take.plain]


def unpack(packed: list[object]) -> Take:
    shots, plain = packed
    assert isinstance(shots, list)
    sights = (
        Sight(tuple(Thing(*thing) for thing in things), ground, text, place)
        for things, ground, text, place in shots
    )
    return Take(tuple(sights), bool(plain))


@torch.inference_mode()
def fill(stage: Stage0, takes: int, seed: int, held_out: bool, bf16: bool) -> dict[str, object]:
    """`takes` takes through the tower."""
    loader = DataLoader(Renderings(takes, seed, held_out), None, num_workers=1, prefetch_factor=64)
    features, packed, starts = [], [], []
    waiting: list[Tensor] = []
    row = 0

    def flush() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            features.append(stage.features(torch.cat(waiting)).half())
        waiting.clear()

    for take, counts, pictures in loader:
        packed.append(pack(take))
        edges = np.cumsum([row, *counts]).tolist()
        starts.append(edges)
        row = edges[-1]
        waiting.append(pictures)
        if sum(map(len, waiting)) >= 128:
            flush()
    if waiting:
        flush()
    return {"features": torch.cat(features), "takes": packed, "rows": starts}


class Bank:
    """The stored visual tokens, of one side of the split."""

    def __init__(self, path: Path, held_out: bool = False) -> None:
        stored = torch.load(path, weights_only=True, mmap=True)["held" if held_out else "known"]
        self.features: Tensor = stored["features"]
        pairs = zip(stored["takes"], stored["rows"], strict=True)
        self.takes = [Stored(unpack(take), tuple(rows)) for take, rows in pairs]

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Visual tokens [B, 9 T, hidden] of rows [B, T]."""
        return self.features[rows].float().flatten(1, 2)


def load_stage(path: Path) -> tuple[LlavaOnevisionForConditionalGeneration, Stage0]:
    """The model and its stage 0 with the weights of a state file of stage 0."""
    model = build_model(build_tokenizer())
    stage = Stage0(model)
    stage.load_state_dict(torch.load(path, weights_only=True)["stage"])
    return model, stage.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tower", type=Path, required=True, help="its state")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--takes", type=int, default=24_000)
    parser.add_argument("--held-out", type=int, default=3_000, help="takes for evaluation")
    parser.add_argument(
        "--bf16", action=argparse.BooleanOptionalAction, default=HAS_AMX,
        help="twice as fast where the CPU has AMX, which is the default there",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    _, stage = load_stage(args.tower)
    begun = time.monotonic()
    parts = {
        "held": fill(stage, args.held_out, args.seed, True, args.bf16),
        "known": fill(stage, args.takes, args.seed, False, args.bf16),
    }
    partial = args.out.with_suffix(".partial")
    torch.save(parts, partial)
    partial.replace(args.out)
    print(f"{args.takes} + {args.held_out} takes in {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
