"""Stage 1: the decoder learns to answer, over the frozen tower's tokens.

All questions of a clip ride in one forward: visual tokens are causal, each conversation sees the
visual tokens and itself, and its positions start right after the last frame. Probes on the middle
layers ask every object token for what came before, whether it starts something new and how many
there were, and every object word in a question for all that is known of that object. They are
dense supervision for the skills that answers alone teach slowly, and are thrown away afterwards.

    python -m training.decoder --bank runs/bank.pt --tower runs/tower/state.pt --out runs/decoder
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

from training.checkpoint import TOKENS_PER_FRAME, build_model, build_tokenizer
from training.clips import FACTS, IGNORE, NOTHING, ClipBatches, Clips, Phase
from training.forgetting import forget, lifetimes
from training.optimise import Optimisers, warm_cosine
from training.questions import KINDS
from training.tower import Stage0, load

PREFIX = 2  # <|im_start|> user
VALUE_COST = 0.02
LONGEST_STEP = 30.0  # seconds; who stops the process from outside takes none of its time


class Bank:
    """The stored visual tokens; see training/bank.py."""

    def __init__(self, path: Path) -> None:
        stored = torch.load(path, weights_only=True)
        self.variants: int = stored["variants"]
        self.features = torch.cat([stored["scenes"], stored["empties"]])

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Visual tokens [B, 9 T, hidden] of rows [B, T]."""
        return self.features[rows].flatten(1, 2)


class Stage1(nn.Module):
    """The decoder with the answer loss and the probes."""

    def __init__(self, tower: Path | None = None) -> None:
        super().__init__()
        tokenizer = build_tokenizer()
        if tower is None:
            model = build_model(tokenizer)
            self.stage0 = Stage0(model)
        else:
            model, self.stage0 = load(tower)
        self.model = model
        model.model.vision_tower.requires_grad_(False)
        model.model.multi_modal_projector.requires_grad_(False)
        self.stage0.requires_grad_(False)
        model.model.language_model.requires_grad_(True)
        width = model.config.text_config.hidden_size
        self.probe_before = nn.Linear(width, NOTHING + 1)
        self.probe_start = nn.Linear(width, 3)
        self.probe_count = nn.Linear(width, 17)
        self.probe_facts = nn.Linear(width, sum(FACTS.values()))
        prefix = tokenizer.encode("<|im_start|>user")
        assert len(prefix) == PREFIX
        self.register_buffer("prefix", torch.tensor(prefix))
        self._values: list[Tensor] = []
        for layer in model.model.language_model.layers:
            layer.self_attn.v_proj.register_forward_hook(
                lambda _module, _inputs, values: self._values.append(values)
            )

    def embed(self, clips: Clips, visual: Tensor) -> Tensor:
        """[B, PREFIX + 9 T + K L, hidden] from visual tokens [B, 9 T, hidden]."""
        words = self.model.model.language_model.embed_tokens
        size, questions, _length = clips.tokens.shape
        branches = words(clips.tokens)
        newline = self.model.model.image_newline.expand(size, questions, 1, -1)
        branches = torch.cat([newline, branches[:, :, 1:]], dim=2).flatten(1, 2)
        prefix = words(self.prefix).expand(size, -1, -1)
        return torch.cat([prefix, visual, branches], dim=1)

    @staticmethod
    def layout(frames: int, questions: int, length: int, stretch: float) -> tuple[Tensor, Tensor]:
        """Position ids [1, N] and the block mask [1, 1, N, N] (True: may attend)."""
        seen = PREFIX + TOKENS_PER_FRAME * frames
        within = torch.arange(TOKENS_PER_FRAME)
        starts = (torch.arange(frames) * TOKENS_PER_FRAME * stretch).long()
        visual = PREFIX + (starts[:, None] + within).flatten()
        after = int(visual[-1]) + 1 + torch.arange(length)
        positions = torch.cat([torch.arange(PREFIX), visual, after.repeat(questions)])
        n = len(positions)
        mask = torch.zeros(n, n, dtype=torch.bool)
        mask[:seen, :seen] = torch.ones(seen, seen, dtype=torch.bool).tril()
        mask[seen:, :seen] = True
        block = torch.ones(length, length, dtype=torch.bool).tril()
        for k in range(questions):
            at = seen + k * length
            mask[at : at + length, at : at + length] = block
        return positions[None], mask[None, None]

    def forward(self, clips: Clips, visual: Tensor) -> tuple[Tensor, Tensor, dict[str, float]]:
        """Loss; right answers [B, K, turns]; measures by name. `visual` [B, 9 T, hidden]."""
        size, questions, length = clips.tokens.shape
        frames = clips.frames.shape[1]
        positions, mask = self.layout(frames, questions, length, clips.stretch)
        if clips.keep < 1:
            mask = forget(mask, lifetimes(clips.cells, clips.keep), PREFIX, frames)
        self._values.clear()
        out = self.model.model.language_model(
            inputs_embeds=self.embed(clips, visual),
            position_ids=positions.expand(size, -1),
            attention_mask={"full_attention": mask},
            use_cache=False,
            output_hidden_states=True,
        )
        seen = PREFIX + TOKENS_PER_FRAME * frames
        wanted = clips.targets != IGNORE
        hidden = out.last_hidden_state[:, seen:].unflatten(1, (questions, length))[wanted]
        logits = self.model.lm_head(hidden).float()
        losses = F.cross_entropy(logits, clips.targets[wanted], reduction="none")
        answer_loss = losses.sum() / (clips.kinds >= 0).sum()

        present = clips.cells >= 0
        clip, frame = present.nonzero(as_tuple=True)
        at = PREFIX + frame * TOKENS_PER_FRAME + clips.cells[present]
        before_logits = self.probe_before(out.hidden_states[3][clip, at]).float()
        start_logits = self.probe_start(out.hidden_states[3][clip, at]).float()
        count_logits = self.probe_count(out.hidden_states[4][clip, at]).float()
        before = F.cross_entropy(before_logits, clips.before[present])
        start = F.cross_entropy(start_logits, clips.start[present])
        count = F.cross_entropy(count_logits, clips.count[present])
        # What was forgotten cannot be counted: there the answers alone teach.
        counting = 0.5 * start + 0.6 * count if clips.keep == 1 else answer_loss.new_zeros(())
        clip, question, token = clips.named.unbind(1)
        at = seen + question * length + token
        fact_logits = self.probe_facts(out.hidden_states[4][clip, at]).float()
        fact_losses = [
            F.cross_entropy(part, clips.facts[:, i], ignore_index=IGNORE)
            for i, part in enumerate(fact_logits.split(list(FACTS.values()), dim=1))
            if (clips.facts[:, i] != IGNORE).any()
        ]
        facts = torch.stack(fact_losses).sum() if fact_losses else answer_loss.new_zeros(())
        # What nobody needs shall have small values: then a value's norm says what is of use.
        heads = self.model.config.text_config.num_key_value_heads
        width = self._values[0].shape[-1]
        norms = torch.stack(
            [
                v[:, PREFIX:seen].reshape(-1, width // heads).norm(dim=-1).mean()
                for v in self._values
            ]
        ).mean()
        loss = answer_loss + 0.5 * before + counting + 0.3 * facts + VALUE_COST * norms

        with torch.no_grad():
            wrong = torch.zeros(clips.kinds.shape, dtype=torch.long)
            row, question, _ = wanted.nonzero(as_tuple=True)
            index = (row, question, clips.turns[wanted])
            wrong.index_put_(index, (logits.argmax(-1) != clips.targets[wanted]).long(), True)
            measures = {
                "answer_loss": answer_loss.item(),
                "fact_loss": facts.item(),
                "value_norm": norms.item(),
                "before_probe": (before_logits.argmax(-1) == clips.before[present])
                .float().mean().item(),
                "forgets": float(clips.keep < 1),
                "start_probe": (start_logits.argmax(-1) == clips.start[present])
                .float().mean().item(),
                "count_probe": (count_logits.argmax(-1) == clips.count[present])
                .float().mean().item(),
            }  # fmt: skip
        return loss, wrong == 0, measures


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

    def overall(self) -> float:
        return round((self.right.sum() / self.asked.sum()).item(), 4)


# Share of the run at which each phase begins.
PHASES = (
    (0.00, Phase(1, 4)),
    (0.10, Phase(3, 12)),
    (0.30, Phase(4, 30, most_turns=2, blur=0.02, stretch_share=0.1)),
    (0.48, Phase(8, 60, most_turns=2, blur=0.02, stretch_share=0.2, forget_share=0.5)),
    (0.66, Phase(10, 120, most_turns=8, blur=0.02, stretch_share=0.3, forget_share=0.5)),
)


def phase_at(done: float) -> Phase:
    """The phase at `done` (0..1) of the run."""
    return [phase for begins, phase in PHASES if done >= begins][-1]


def held_out_batches(bank: Bank, lengths: tuple[int, ...], clips: int) -> list[Clips]:
    """Fixed batches of unseen combinations, one per length."""
    questions = len(KINDS) * 2
    maker = ClipBatches(Phase(1, 1), 1, bank.variants, seed=0, questions=questions, held_out=True)
    rng = np.random.default_rng(10**6)
    return [maker.batch(length, clips, rng) for length in lengths]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bank", type=Path, required=True)
    parser.add_argument("--tower", type=Path, required=True, help="its state, or a checkpoint")
    parser.add_argument("--probes", type=Path, help="an earlier run's state: its probes go along")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=94.0)
    parser.add_argument("--tokens", type=int, default=8000, help="per batch, all clips together")
    parser.add_argument("--muon-rate", type=float, default=3e-3)
    parser.add_argument("--adam-rate", type=float, default=1e-3)
    parser.add_argument("--begin", type=float, default=0.0, help="share of the phases to skip")
    parser.add_argument("--bf16", action="store_true", help="twice as fast where the CPU has AMX")
    parser.add_argument("--seed", type=int, default=3)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)
    bank = Bank(args.bank)
    stage = Stage1(args.tower)
    if args.probes:
        earlier = torch.load(args.probes, weights_only=True)["stage"]
        probes_of = {name: value for name, value in earlier.items() if name.startswith("probe")}
        stage.load_state_dict(probes_of, strict=False)
    modules = nn.ModuleDict({"decoder": stage.model.model.language_model})
    probes = nn.ModuleDict({n: m for n, m in stage.named_children() if n.startswith("probe")})
    optimisers = Optimisers([modules, probes], args.muon_rate, args.adam_rate)
    newline = stage.model.model.image_newline
    optimisers.adam.add_param_group({"params": [newline]})
    state_file = args.out / "state.pt"
    spent, step = 0.0, 0
    if state_file.exists():
        state = torch.load(state_file, weights_only=True)
        stage.load_state_dict(state["stage"])
        optimisers.load_state_dict(state["optimisers"])
        spent, step = state["spent"], state["step"]
    tests = held_out_batches(bank, (4, 16, 60), 12)
    phase = phase_at(args.begin + (1 - args.begin) * spent / (args.minutes * 60))
    maker = ClipBatches(phase, args.tokens, bank.variants, args.seed + step)
    batches = iter(DataLoader(maker, batch_size=None, num_workers=1, prefetch_factor=4))
    log = (args.out / "log.jsonl").open("a")
    clock = time.monotonic()
    scores = Scores()
    while True:
        clips = next(batches)
        now = time.monotonic()
        spent += min(now - clock, LONGEST_STEP)
        clock = now
        done = spent / (args.minutes * 60)
        with torch.autocast("cpu", torch.bfloat16, enabled=args.bf16):
            loss, right, measures = stage(clips, bank[clips.frames])
        loss.backward()
        norm = optimisers.step(warm_cosine(done))
        scores.add(right, clips.kinds)
        step += 1
        last = done >= 1
        if step % 100 == 0 or last:
            row: dict[str, object] = {
                "step": step, "minutes": round(spent / 60, 2), "longest": maker.phase.longest,
                "loss": round(loss.item(), 4), "norm": round(norm, 3),
                "train": scores.overall(), "train_kinds": scores.table(),
            }  # fmt: skip
            row |= {k: round(v, 4) for k, v in measures.items()}
            stage.eval()
            with torch.no_grad():
                for test in tests:
                    held = Scores()
                    held.add(stage(test, bank[test.frames])[1], test.kinds)
                    row[f"held_{test.frames.shape[1]}"] = held.overall()
                    row[f"held_{test.frames.shape[1]}_kinds"] = held.table()
            stage.train()
            print(json.dumps(row), file=log, flush=True)
            print(row, flush=True)
            # What lags is asked more often.
            weights = tuple(1.15 - value for value in scores.table().values())
            maker.turn_to(phase_at(args.begin + (1 - args.begin) * done), weights)
            scores = Scores()
        if step % 100 == 0 or last:
            saved = {"stage": stage.state_dict(), "optimisers": optimisers.state_dict()}
            torch.save(saved | {"spent": spent, "step": step}, state_file)
        if last:
            break


if __name__ == "__main__":
    main()
