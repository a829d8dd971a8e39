"""Stage 1 of the second edition: the decoder learns to answer, over the frozen tower's tokens.

As in `training.decoder`, all conversations of a clip ride in one forward under a block mask, and
probes on the middle layers ask object tokens and object words for all that is known of them. What
differs: frames have times (9 positions a second), several objects a frame have tokens of their
own, phases begin after minutes of CPU time, and the rates stay level until the last minutes fall
to nothing, so that a run can be closed at any time: run it again with fewer --minutes.

    E=runs/edition2 python -m training.edition2.decoder --bank $E/bank.pt \
        --tower $E/tower/state.pt --out $E/decoder --minutes 600
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from transformers import LlavaOnevisionForConditionalGeneration

from training.checkpoint import TOKENS_PER_FRAME
from training.edition2.attention import NAME, Blocks, blocks
from training.edition2.bank import Bank, load_stage
from training.edition2.checkpoint import build_tokenizer
from training.edition2.clips import ClipBatches, Clips, Phase
from training.edition2.labels import FACTS, IGNORE, TOKEN_LABELS
from training.edition2.phrasings import KINDS, OLD_KINDS
from training.edition2.tower import HAS_AMX, Stage0
from training.forgetting import RECENT, SPREAD
from training.optimise import Optimisers

PREFIX = 2  # <|im_start|> user
VALUE_COST = 0.02
TOKEN_WEIGHTS = {"before": 0.5, "start": 0.3, "count": 0.4, "shift": 0.3}
FACT_WEIGHT = 0.3
# Minute of CPU time at which each phase begins.
PHASES = (
    (0, Phase(2, 10)),
    (15, Phase(4, 30, most_turns=2, blur=0.02, apart_share=0.2)),
    (60, Phase(6, 90, most_turns=3, blur=0.02, apart_share=0.3, forget_share=0.3)),
    (140, Phase(8, 200, most_turns=5, blur=0.02, apart_share=0.4, forget_share=0.5)),
    (300, Phase(12, 640, most_turns=6, blur=0.02, apart_share=0.4, forget_share=0.5)),
)


def phase_at(minutes: float) -> Phase:
    """The phase after so many minutes."""
    return [phase for begins, phase in PHASES if minutes >= begins][-1]


def rate_at(spent: float, minutes: float, warm: float = 2.0, fall: float = 40.0) -> float:
    """Share of the peak rates after `spent` of `minutes`: level, then down to nothing over the
    last `fall`."""
    return min(1.0, (spent + 0.05) / warm, max(0.0, (minutes - spent) / fall))


def lifetimes(clips: Clips) -> Tensor:
    """The frame from which on each visual token is gone, or one that never comes: [B, 9 T]."""
    size, frames = clips.frames.shape
    shape = (size, frames, TOKENS_PER_FRAME)
    share = torch.full(shape, clips.keep)
    share[tuple(clips.things.T)] = min(1.0, 2 * clips.keep)
    share[tuple(clips.anchors.T)] = 1.0
    stays = torch.rand(shape) < share
    seen = torch.arange(frames)[:, None]
    ends = seen + RECENT + torch.randint(1, SPREAD + 1, shape)
    return torch.where(stays, torch.iinfo(torch.int64).max, ends).flatten(1)


class Stage1(nn.Module):
    """The decoder with the answer loss and the probes. `forward` gives loss, right answers
    [B, K, turns] and measures by name."""

    def __init__(self, stage0: Stage0, model: LlavaOnevisionForConditionalGeneration) -> None:
        super().__init__()
        self.model = model
        self.stage0 = stage0
        self.core = model.model
        model.config.text_config._attn_implementation = NAME
        stage0.requires_grad_(False)
        self.core.language_model.requires_grad_(True)
        width = model.config.text_config.hidden_size
        self.probe_tokens = nn.Linear(width, sum(TOKEN_LABELS.values()))
        self.probe_facts = nn.Linear(width, sum(FACTS.values()))
        prefix = build_tokenizer().encode("<|im_start|>user")
        assert len(prefix) == PREFIX
        self.register_buffer("prefix", torch.tensor(prefix))
        self._values: list[Tensor] = []
        for layer in self.core.language_model.layers:
            layer.self_attn.v_proj.register_forward_hook(
                lambda _module, _inputs, values: self._values.append(values)
            )

    def embed(self, clips: Clips, visual: Tensor) -> Tensor:
        """[B, PREFIX + 9 T + K L, hidden] from visual tokens [B, 9 T, hidden]."""
        words = self.core.language_model.embed_tokens
        size, questions, _length = clips.tokens.shape
        branches = words(clips.tokens)
        newline = self.core.image_newline.expand(size, questions, 1, -1)
        branches = torch.cat([newline, branches[:, :, 1:]], dim=2).flatten(1, 2)
        return torch.cat([words(self.prefix).expand(size, -1, -1), visual, branches], dim=1)

    @staticmethod
    def positions(seconds: Tensor, conversations: int, length: int) -> Tensor:
        """Position ids [1, N]: nine a second, and conversations right after the last frame."""
        within = torch.arange(TOKENS_PER_FRAME)
        visual = PREFIX + (seconds[:, None] * TOKENS_PER_FRAME + within).flatten()
        after = int(visual[-1]) + 1 + torch.arange(length)
        return torch.cat([torch.arange(PREFIX), visual, after.repeat(conversations)])[None]

    @staticmethod
    def layout(clips: Clips) -> Blocks:
        """Who sees whom."""
        size, frames = clips.frames.shape
        _, conversations, length = clips.tokens.shape
        seen = PREFIX + TOKENS_PER_FRAME * frames
        if clips.keep == 1:
            return blocks(seen, conversations, length)
        now = torch.arange(frames).repeat_interleave(TOKENS_PER_FRAME)
        never = torch.full((size, PREFIX), torch.iinfo(torch.int64).max)
        ends = torch.cat([never, lifetimes(clips)], dim=1)
        return blocks(seen, conversations, length, F.pad(now, (PREFIX, 0)), ends)

    def forward(self, clips: Clips, visual: Tensor) -> tuple[Tensor, Tensor, dict[str, float]]:
        size, questions, length = clips.tokens.shape
        frames = clips.frames.shape[1]
        positions = self.positions(clips.seconds, questions, length)
        self._values.clear()
        out = self.core.language_model(
            inputs_embeds=self.embed(clips, visual),
            position_ids=positions.expand(size, -1),
            attention_mask={"full_attention": self.layout(clips)},
            use_cache=False,
            output_hidden_states=True,
        )
        seen = PREFIX + TOKENS_PER_FRAME * frames
        wanted = clips.targets != IGNORE
        hidden = out.last_hidden_state[:, seen:].unflatten(1, (questions, length))[wanted]
        logits = self.model.lm_head(hidden).float()
        losses = F.cross_entropy(logits, clips.targets[wanted], reduction="none")
        answer_loss = losses.sum() / (clips.kinds >= 0).sum()
        tokens = self._token_loss(clips, out.hidden_states)
        clip, question, token = clips.named.unbind(1)
        at = seen + question * length + token
        fact_logits = self.probe_facts(out.hidden_states[4][clip, at]).float()
        facts = sum(
            (_loss(part, clips.facts[:, i])
             for i, part in enumerate(fact_logits.split(list(FACTS.values()), dim=1))),
            answer_loss.new_zeros(()),
        )  # fmt: skip
        # What nobody needs shall have small values: then a value's norm says what is of use.
        heads = self.model.config.text_config.num_key_value_heads
        width = self._values[0].shape[-1] // heads
        values = [v[:, PREFIX:seen].reshape(-1, width) for v in self._values]
        norms = torch.stack([v.norm(dim=-1).mean() for v in values]).mean()
        loss = answer_loss + tokens + FACT_WEIGHT * facts + VALUE_COST * norms
        with torch.no_grad():
            wrong = torch.zeros(clips.kinds.shape, dtype=torch.long)
            row, question, _ = wanted.nonzero(as_tuple=True)
            index = (row, question, clips.turns[wanted])
            wrong.index_put_(index, (logits.argmax(-1) != clips.targets[wanted]).long(), True)
        measures = {
            "answer_loss": answer_loss.item(), "token_loss": tokens.item(),
            "fact_loss": facts.item(), "value_norm": norms.item(),
        }  # fmt: skip
        return loss, wrong == 0, measures

    def _token_loss(self, clips: Clips, states: tuple[Tensor, ...]) -> Tensor:
        """What object tokens know. What was forgotten cannot be counted: there only what a frame
        and its neighbours show is asked."""
        clip, frame, cell = clips.things.unbind(1)
        at = PREFIX + frame * TOKENS_PER_FRAME + cell
        logits = self.probe_tokens(states[4][clip, at]).float()
        parts = logits.split(list(TOKEN_LABELS.values()), dim=1)
        loss = logits.new_zeros(())
        for i, (name, part) in enumerate(zip(TOKEN_LABELS, parts, strict=True)):
            if clips.keep == 1 or name == "shift":
                loss = loss + TOKEN_WEIGHTS[name] * _loss(part, clips.labels[:, i])
        return loss


def _loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy, nothing where all labels are IGNORE."""
    if not bool((labels != IGNORE).any()):
        return logits.new_zeros(())
    loss: Tensor = F.cross_entropy(logits, labels, ignore_index=IGNORE)
    return loss


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


def build(tower: Path) -> Stage1:
    """Stage 1 over the tower of a state file."""
    model, stage0 = load_stage(tower)
    return Stage1(stage0, model)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bank", type=Path, required=True)
    parser.add_argument("--tower", type=Path, required=True, help="its state")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=600.0, help="of CPU time")
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
    stage = build(args.tower)
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
    maker = ClipBatches(bank.takes, phase_at(spent / 60), args.tokens, args.seed + step)
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
            weights = [1.15 - value for value in scores.table().values()]
            maker.turn_to(phase_at(spent / 60), weights)
            scores = Scores()
        if step % 50 == 0 or last:
            saved = {"stage": stage.state_dict(), "optimisers": optimisers.state_dict()}
            torch.save(saved | {"spent": spent, "step": step}, state_file.with_suffix(".partial"))
            state_file.with_suffix(".partial").replace(state_file)
        if last:
            break


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
        row[f"held_{length}_new"] = held.overall(tuple(k for k in KINDS if k not in OLD_KINDS))
        row[f"held_{length}_kinds"] = held.table()
    stage.train()
    return row


if __name__ == "__main__":
    main()
