"""How many answers were right, by kind, and the test that training sits as it goes."""

import numpy as np
import torch
from torch import Tensor

from training.bank import Bank
from training.clips import ClipBatches, Clips, Phase
from training.phrasings import KINDS, NEW_KINDS, OLD_KINDS
from training.stage1 import Stage1


class Scores:
    """Right and asked, per kind."""

    def __init__(self) -> None:
        self.right = torch.zeros(len(KINDS))
        self.asked = torch.zeros(len(KINDS))

    def add(self, right: Tensor, kinds: Tensor) -> None:
        for i in range(len(KINDS)):
            of_kind = kinds == i
            self.right[i] += (right & of_kind).sum()
            self.asked[i] += of_kind.sum()

    def table(self) -> dict[str, float]:
        share = self.right / self.asked.clamp(min=1)
        return {kind: round(share[i].item(), 4) for i, kind in enumerate(KINDS)}

    def overall(self, kinds: tuple[str, ...] = KINDS) -> float:
        """Mean over `kinds`, each with the same weight."""
        table = self.table()
        return round(sum(table[kind] for kind in kinds) / len(kinds), 4)


def held_out_batches(bank: Bank, lengths: tuple[tuple[int, int], ...]) -> list[Clips]:
    """Fixed batches of unseen combinations: (frames, clips) of each."""
    maker = ClipBatches(bank.takes, Phase(1, 1, most_turns=2), 1, seed=0, questions=60)
    rng = np.random.default_rng(10**6)
    return [maker.batch(length, clips, rng) for length, clips in lengths]


@torch.no_grad()
def examine(stage: Stage1, bank: Bank, tests: list[Clips], bf16: bool) -> dict[str, object]:
    """Scores on held-out batches, by length."""
    stage.eval()
    row: dict[str, object] = {}
    for test in tests:
        held = Scores()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            held.add(stage(test, bank[test.frames])[1], test.kinds)
        length = test.frames.shape[1]
        row[f"held_{length}_old"] = held.overall(OLD_KINDS)
        row[f"held_{length}_new"] = held.overall(NEW_KINDS)
        row[f"held_{length}_kinds"] = held.table()
    stage.train()
    return row
