"""Stage 1: the decoder learns to answer, over the frozen tower's tokens.

All conversations of a clip ride in one forward under a block mask. Phases begin after a share of
--minutes of CPU time, and the rates stay level until the last eighth, in which they fall to
nothing: a run can be made shorter or longer while it goes on.

    python -m training.decoder --bank runs/bank.pt --tower runs/tower/state.pt --out runs/decoder
"""

from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader

from training.bank import Bank, load_stage
from training.clips import ClipBatches, Phase
from training.optimise import Optimisers
from training.running import Run, options
from training.scores import Scores, examine, held_out_batches
from training.stage1 import Stage1

# Share of the CPU time after which each phase begins.
PHASES = (
    (0, Phase(2, 10)),
    (0.03, Phase(2, 30, most_turns=2, blur=0.02, apart_share=0.2)),
    (0.12, Phase(2, 90, most_turns=3, blur=0.02, apart_share=0.3, forget_share=0.3)),
    (0.5, Phase(2, 200, most_turns=4, blur=0.02, apart_share=0.4, forget_share=0.4)),
    (0.75, Phase(2, 640, most_turns=6, blur=0.02, apart_share=0.4, forget_share=0.5)),
)
FALL = 0.125  # share of the CPU time in which the rates fall to nothing


def phase_at(done: float) -> Phase:
    """The phase after the share `done` of the whole."""
    return [phase for begins, phase in PHASES if done >= begins][-1]


def rate_at(spent: float, minutes: float, warm: float = 2.0) -> float:
    """Share of the peak rates after `spent` of `minutes`: level, then down to nothing."""
    return min(1.0, (spent + 0.05) / warm, max(0.0, (minutes - spent) / (FALL * minutes)))


def main() -> None:
    parser = options(__doc__, minutes=320.0, muon_rate=9e-4, adam_rate=4e-4, seed=31)
    parser.add_argument("--bank", type=Path, required=True)
    parser.add_argument("--tower", type=Path, required=True, help="its state")
    parser.add_argument("--tokens", type=int, default=7000, help="per batch, all clips together")
    parser.add_argument("--every", type=int, default=100, help="steps between tests")
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    bank, unseen = Bank(args.bank), Bank(args.bank, held_out=True)
    model, stage0 = load_stage(args.tower)
    stage = Stage1(stage0, model)
    modules = nn.ModuleDict({"decoder": stage.core.language_model})
    probes = nn.ModuleDict({n: m for n, m in stage.named_children() if n.startswith("probe")})
    optimisers = Optimisers([modules, probes], args.muon_rate, args.adam_rate)
    optimisers.adam.add_param_group({"params": [stage.core.image_newline]})
    run = Run(args.out, stage, optimisers, args.minutes)
    if run.over:
        return
    tests = held_out_batches(unseen, ((12, 8), (60, 6), (240, 2)))
    maker = ClipBatches(bank.takes, phase_at(run.done), args.tokens, args.seed + run.step)
    batches = iter(DataLoader(maker, batch_size=None, num_workers=1, prefetch_factor=4))
    scores = Scores()
    while not run.over:
        clips = next(batches)
        with torch.autocast("cpu", torch.bfloat16, enabled=args.bf16):
            loss, right, measures = stage(clips, bank[clips.frames])
        loss.backward()
        run.count()
        norm = optimisers.step(rate_at(run.minutes, args.minutes))
        scores.add(right, clips.kinds)
        if run.due(args.every):
            run.note(
                longest=maker.phase.longest, loss=loss.item(), norm=norm,
                train=scores.overall(), train_kinds=scores.table(), **measures,
                **examine(stage, unseen, tests, args.bf16),
            )  # fmt: skip
            # What lags is asked more often.
            weights = [(1.15 - value) ** 1.5 for value in scores.table().values()]
            maker.turn_to(phase_at(run.done), weights)
            scores = Scores()
        if run.due(50):
            run.save()


if __name__ == "__main__":
    main()
