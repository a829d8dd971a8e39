"""Stage 1 of the second edition: the decoder learns to answer, over the frozen tower's tokens.

As in `training.decoder`, all conversations of a clip ride in one forward under a block mask, and
probes on the middle layers ask object tokens and object words for all that is known of them. What
differs: frames have times (9 positions a second), several objects a frame have tokens of their
own, phases begin after a share of --minutes of CPU time, and the rates stay level until the last
eighth, in which they fall to nothing: a run can be made shorter or longer while it goes on.

    E=runs/edition2 python -m training.edition2.decoder --bank $E/bank.pt \
        --tower $E/tower/state.pt --out $E/decoder
"""

import argparse
import json
import time
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader

from training.edition2.bank import Bank, load_stage
from training.edition2.clips import ClipBatches, Phase
from training.edition2.scores import Scores, examine, held_out_batches
from training.edition2.stage1 import Stage1
from training.edition2.tower import HAS_AMX
from training.optimise import Optimisers

# Share of the CPU time after which each phase begins.
PHASES = (
    (0, Phase(2, 10)),
    (0.03, Phase(4, 30, most_turns=2, blur=0.02, apart_share=0.2)),
    (0.12, Phase(6, 90, most_turns=3, blur=0.02, apart_share=0.3, forget_share=0.3)),
    (0.3, Phase(2, 200, most_turns=4, blur=0.02, apart_share=0.4, forget_share=0.4)),
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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bank", type=Path, required=True)
    parser.add_argument("--tower", type=Path, required=True, help="its state")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=320.0, help="of CPU time")
    parser.add_argument("--tokens", type=int, default=7000, help="per batch, all clips together")
    parser.add_argument("--muon-rate", type=float, default=1.2e-3)
    parser.add_argument("--adam-rate", type=float, default=5e-4)
    parser.add_argument(
        "--bf16", action=argparse.BooleanOptionalAction, default=HAS_AMX,
        help="twice as fast where the CPU has AMX, which is the default there",
    )  # fmt: skip
    parser.add_argument("--every", type=int, default=100, help="steps between tests")
    parser.add_argument("--seed", type=int, default=31)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)
    bank, unseen = Bank(args.bank), Bank(args.bank, held_out=True)
    model, stage0 = load_stage(args.tower)
    stage = Stage1(stage0, model)
    modules = nn.ModuleDict({"decoder": stage.core.language_model})
    probes = nn.ModuleDict({n: m for n, m in stage.named_children() if n.startswith("probe")})
    optimisers = Optimisers([modules, probes], args.muon_rate, args.adam_rate)
    optimisers.adam.add_param_group({"params": [stage.core.image_newline]})
    state_file = args.out / "state.pt"
    spent, step = 0.0, 0
    if state_file.exists():
        state = torch.load(state_file, weights_only=True)
        stage.load_state_dict(state["stage"])
        optimisers.load_state_dict(state["optimisers"])
        spent, step = state["spent"], state["step"]
    if spent >= args.minutes * 60:
        return
    tests = held_out_batches(unseen, ((12, 8), (60, 6), (240, 2)))
    maker = ClipBatches(
        bank.takes, phase_at(spent / 60 / args.minutes), args.tokens, args.seed + step
    )
    batches = iter(DataLoader(maker, batch_size=None, num_workers=1, prefetch_factor=4))
    log = (args.out / "log.jsonl").open("a")
    clock = time.process_time()
    scores = Scores()
    while True:
        clips = next(batches)
        with torch.autocast("cpu", torch.bfloat16, enabled=args.bf16):
            loss, right, measures = stage(clips, bank[clips.frames])
        loss.backward()
        now = time.process_time()
        spent, clock = spent + now - clock, now
        norm = optimisers.step(rate_at(spent / 60, args.minutes))
        scores.add(right, clips.kinds)
        step += 1
        last = spent >= args.minutes * 60
        if step % args.every == 0 or last:
            row: dict[str, object] = {
                "step": step, "minutes": round(spent / 60, 2), "longest": maker.phase.longest,
                "loss": round(loss.item(), 4), "norm": round(norm, 3),
                "train": scores.overall(), "train_kinds": scores.table(),
            }  # fmt: skip
            row |= {k: round(v, 4) for k, v in measures.items()}
            row |= examine(stage, unseen, tests, args.bf16)
            print(json.dumps(row), file=log, flush=True)
            print(row, flush=True)
            # What lags is asked more often.
            weights = [(1.15 - value) ** 1.5 for value in scores.table().values()]
            maker.turn_to(phase_at(spent / 60 / args.minutes), weights)
            scores = Scores()
        if step % 50 == 0 or last:
            saved = {"stage": stage.state_dict(), "optimisers": optimisers.state_dict()}
            torch.save(saved | {"spent": spent, "step": step}, state_file.with_suffix(".partial"))
            state_file.with_suffix(".partial").replace(state_file)
        if last:
            break


if __name__ == "__main__":
    main()
