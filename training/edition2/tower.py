"""Stage 0 of the second edition: the tower learns to name what is in each of nine cells.

Every visual token answers for its own cell: with its object's word, with the word or digit that is
written there, or with the ground's colour or "photo". Two small heads read place and ground from
the tokens of things. It goes on from the first edition's weights, whose decoder shall understand
the new tower from the first step on: the words that it knows keep their embeddings, and what the
older tower says of plain pictures is taught along.

    python -m training.edition2.tower --begin models/lookback-mini --out runs/edition2/tower
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset
from transformers import AutoTokenizer, LlavaOnevisionForConditionalGeneration

from training.checkpoint import SIDE, build_model
from training.edition2.checkpoint import build_tokenizer
from training.edition2.sight import Look, cell_labels, picture
from training.edition2.takes import Drawer
from training.edition2.world import CELLS, GROUND_NAMES, OBJECT_NAMES, PLACE_NAMES, TEXTS
from training.optimise import Optimisers, warm_cosine
from training.tower import to_pixels

TEXT_LABEL = 1000
HAS_AMX: bool = torch.cpu._is_amx_tile_supported()


class Labelled(NamedTuple):
    """Pictures uint8 [n, side, side, 3]; labels [n, 9] (see sight.cell_labels), ground [n]."""

    pictures: Tensor
    cells: Tensor
    grounds: Tensor
    plain: Tensor  # [n] whether an older tower knows all that is shown


class Frames(IterableDataset[Labelled]):
    """Endless batches of single frames."""

    def __init__(self, batch: int, seed: int, held_out: bool = False) -> None:
        self.batch, self.seed, self.held_out = batch, seed, held_out

    def __iter__(self) -> Iterator[Labelled]:
        rng = np.random.default_rng(self.seed)
        drawer = Drawer(rng, self.held_out)
        while True:
            pictures, cells, grounds, plain = [], [], [], []
            for _ in range(self.batch):
                # Words are learned the slowest.
                take = (drawer.speaks() if rng.random() < 0.2 else None) or drawer.draw()
                sight = take.shots[rng.integers(len(take.shots))]
                look = Look.draw(
                    sight.ground, take.most_things, SIDE, rng, self.held_out, take.plain
                )
                pictures.append(picture(sight, look, rng))
                cells.append(cell_labels(sight))
                grounds.append(sight.ground)
                plain.append(take.plain)
            yield Labelled(
                torch.from_numpy(np.stack(pictures)), torch.tensor(cells), torch.tensor(grounds),
                torch.tensor(plain),
            )  # fmt: skip


class Stage0(nn.Module):
    """The model's tower and projector with the dense losses on top."""

    def __init__(self, model: LlavaOnevisionForConditionalGeneration) -> None:
        super().__init__()
        word = build_tokenizer().convert_tokens_to_ids
        self.core = model.model
        width = model.config.text_config.hidden_size
        self.probe_place = nn.Linear(width, len(PLACE_NAMES))
        self.probe_ground = nn.Linear(width, len(GROUND_NAMES))

        def ids(names: tuple[str, ...]) -> Tensor:
            return torch.tensor([word("\u2581" + name) for name in names])

        self.object_ids, self.ground_ids = ids(OBJECT_NAMES), ids(GROUND_NAMES)
        self.text_ids = ids(TEXTS)
        place_of_cell = [CELLS.index(cell) for cell in range(len(CELLS))]
        self.place_of_cell = torch.tensor(place_of_cell)

    def features(self, pictures: Tensor) -> Tensor:
        """[n, tokens_per_frame, hidden] as the decoder will see them."""
        out = self.core.get_video_features(to_pixels(pictures)[:, None])
        tokens: Tensor = out.pooler_output[:, :-1]
        return tokens

    def targets(self, batch: Labelled) -> Tensor:
        """The word of every cell: ids [n, 9]."""
        cells = batch.cells
        target = self.ground_ids[batch.grounds][:, None].expand(cells.shape)
        objects = self.object_ids[cells.clamp(0, len(OBJECT_NAMES) - 1)]
        texts = self.text_ids[(cells - TEXT_LABEL).clamp(0)]
        target = torch.where((cells >= 0) & (cells < TEXT_LABEL), objects, target)
        return torch.where(cells >= TEXT_LABEL, texts, target)

    def forward(
        self, batch: Labelled, teacher: "Stage0 | None" = None
    ) -> tuple[Tensor, dict[str, float]]:
        features = self.features(batch.pictures).float()
        table = self.core.language_model.embed_tokens.weight
        scale = features.pow(2).mean(-1, keepdim=True).add(1e-6).sqrt()
        logits = (features / scale) @ table.T
        target = self.targets(batch)
        things = batch.cells >= 0
        weight = torch.where(things, 6.0, 1.0)
        weight[batch.cells >= TEXT_LABEL] = 12.0  # rarer, and harder
        dense = F.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="none")
        dense = (dense * weight.flatten()).sum() / weight.sum()
        row, cell = things.nonzero(as_tuple=True)
        own = (features / scale)[row, cell]
        place = self.place_of_cell[cell]
        place_logits, ground_logits = self.probe_place(own), self.probe_ground(own)
        loss = dense + 0.2 * F.cross_entropy(place_logits, place)
        loss = loss + 0.2 * F.cross_entropy(ground_logits, batch.grounds[row])
        # Visual tokens as large as word embeddings: neither drowns the other in the decoder.
        rms_words = table.detach().pow(2).mean().sqrt()
        loss = loss + 0.05 * (scale.log() - rms_words.log()).pow(2).mean()
        if teacher is not None and bool(batch.plain.any()):
            with torch.no_grad():
                taught = teacher.features(batch.pictures[batch.plain]).float()
            apart = (features[batch.plain] - taught).pow(2).mean() / taught.pow(2).mean()
            loss = loss + apart
        with torch.no_grad():
            right = logits.argmax(-1) == target
            several = (batch.cells < TEXT_LABEL) & things
            crowd = several & (several.sum(1, keepdim=True) > 1)
            written = batch.cells >= TEXT_LABEL
            chosen = {
                "object": several & ~crowd, "crowd": crowd, "text": written, "ground": ~things,
            }  # fmt: skip
            measures = {name: right[which].float().mean().item() for name, which in chosen.items()}
            hits = place_logits.argmax(-1) == place
            measures["place"] = hits.float().mean().item()
            measures["behind"] = (
                (ground_logits.argmax(-1) == batch.grounds[row]).float().mean().item()
            )
        return loss, measures


def begin(folder: Path | None) -> LlavaOnevisionForConditionalGeneration:
    """The second edition's model with the weights of a checkpoint of either edition; words that
    the checkpoint does not know get rows of their own."""
    tokenizer = build_tokenizer()
    model = build_model(tokenizer)
    if folder is None:
        return model
    older = LlavaOnevisionForConditionalGeneration.from_pretrained(folder)
    known = len(AutoTokenizer.from_pretrained(folder))
    state = older.state_dict()
    table = model.get_input_embeddings().weight.detach()
    old_table = older.get_input_embeddings().weight.detach()
    table.normal_(0, float(old_table[:known].std()))
    table[:known] = old_table[:known]
    for name in ("model.language_model.embed_tokens.weight", "lm_head.weight"):
        state[name] = table
    model.load_state_dict(state)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--begin", type=Path, help="a checkpoint's folder")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=25.0, help="of CPU time")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--muon-rate", type=float, default=2e-3)
    parser.add_argument("--adam-rate", type=float, default=1e-3)
    parser.add_argument(
        "--bf16", action=argparse.BooleanOptionalAction, default=HAS_AMX,
        help="twice as fast where the CPU has AMX, which is the default there",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=21)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)
    model = begin(args.begin)
    core, stage = model.model, Stage0(model)
    teacher, known = None, 0
    if args.begin:
        teacher = Stage0(begin(args.begin)).requires_grad_(False)
        known = len(AutoTokenizer.from_pretrained(args.begin))
        known_rows = teacher.core.language_model.embed_tokens.weight[:known].clone()
    if args.bf16:
        # Fused attention over 36 patches is slower in bfloat16 than its products one by one.
        core.vision_tower.config._attn_implementation = "eager"
    named = nn.ModuleDict(
        {
            "tower": core.vision_tower, "projector": core.multi_modal_projector,
            "embed": core.language_model.embed_tokens,
        }
    )  # fmt: skip
    probes = nn.ModuleDict({n: m for n, m in stage.named_children() if n.startswith("probe")})
    optimisers = Optimisers([named, probes], args.muon_rate, args.adam_rate)
    state_file = args.out / "state.pt"
    spent, step = 0.0, 0
    if state_file.exists():
        state = torch.load(state_file, weights_only=True)
        stage.load_state_dict(state["stage"])
        optimisers.load_state_dict(state["optimisers"])
        spent, step = state["spent"], state["step"]
    if spent >= args.minutes * 60:
        return
    test = next(iter(Frames(512, seed=10**6, held_out=True)))
    loader = DataLoader(Frames(args.batch, args.seed + step), batch_size=None, num_workers=1)
    batches = iter(loader)
    log = (args.out / "log.jsonl").open("a")
    clock = time.process_time()
    while True:
        batch = next(batches)
        with torch.autocast("cpu", torch.bfloat16, enabled=args.bf16):
            loss, measures = stage(batch, teacher)
        loss.backward()
        now = time.process_time()
        spent, clock = spent + now - clock, now
        done = spent / (args.minutes * 60)
        norm = optimisers.step(warm_cosine(done))
        if known:
            with torch.no_grad():
                core.language_model.embed_tokens.weight[:known] = known_rows
        step += 1
        last = done >= 1
        if step % 50 == 0 or last:
            stage.eval()
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=args.bf16):
                _, held = stage(test)
            stage.train()
            row = {"step": step, "minutes": spent / 60, "loss": loss.item(), "norm": norm}
            row |= measures | {f"held_{k}": v for k, v in held.items()}
            row = {k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}
            print(json.dumps(row), file=log, flush=True)
            print(row, flush=True)
        if step % 50 == 0 or last:
            state = {"stage": stage.state_dict(), "optimisers": optimisers.state_dict()}
            torch.save(state | {"spent": spent, "step": step}, state_file.with_suffix(".partial"))
            state_file.with_suffix(".partial").replace(state_file)
        if last:
            break


if __name__ == "__main__":
    main()
