"""Stage 0: the vision tower learns what and where, densely, before any language.

Every visual token answers for its own cell: with its object's word, with the word or digit that is
written there, or with the ground's colour or "photo", all in the decoder's own (tied) word
embeddings, so that answering later is a copy. Two small heads read place and ground from the
tokens of things. Who begins with a checkpoint keeps its decoder's understanding: the words that
it knows keep their embeddings, and where its tower is right, what it says is taught along.

    python -m training.tower --begin models/lookback-mini --out runs/tower
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset
from transformers import AutoTokenizer, LlavaOnevisionForConditionalGeneration

from training.checkpoint import PATCH, SIDE, build_model, build_tokenizer
from training.optimise import Optimisers, warm_cosine
from training.running import Run, options
from training.sight import Look, cell_labels, picture
from training.takes import Drawer
from training.world import CELLS, GROUND_NAMES, OBJECT_NAMES, PLACE_NAMES, TEXTS

TEXT_LABEL = 1000
MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
STD = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)


def to_pixels(pictures: Tensor) -> Tensor:
    """uint8 [n, height, width, RGB] to the tower's input, float [n, 3, height, width]."""
    return (pictures.permute(0, 3, 1, 2).float() / 255.0 - MEAN) / STD


class Labelled(NamedTuple):
    """Pictures uint8 [n, side, side, 3]; labels [n, 9] (see sight.cell_labels), ground [n]."""

    pictures: Tensor
    cells: Tensor
    grounds: Tensor


class Frames(IterableDataset[Labelled]):
    """Endless batches of single frames."""

    def __init__(self, batch: int, seed: int, held_out: bool = False) -> None:
        self.batch, self.seed, self.held_out = batch, seed, held_out

    def __iter__(self) -> Iterator[Labelled]:
        rng = np.random.default_rng(self.seed)
        drawer = Drawer(rng, self.held_out)
        while True:
            pictures, cells, grounds = [], [], []
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
            yield Labelled(
                torch.from_numpy(np.stack(pictures)), torch.tensor(cells), torch.tensor(grounds)
            )


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
        if teacher is not None:
            with torch.no_grad():
                taught = teacher.features(batch.pictures).float()
                known = (taught @ table.T).argmax(-1) == target
            if bool(known.any()):
                apart = (features[known] - taught[known]).pow(2).mean() / taught.pow(2).mean()
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


def sines(positions: int, width: int) -> Tensor:
    """2-D sines and cosines on a square grid: [positions, width]."""
    side = round(positions**0.5)
    quarter = width // 4
    frequencies = torch.exp(-torch.arange(quarter) * (np.log(100.0) / quarter)) * 2.0
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    angles = [axis.reshape(-1, 1) * frequencies for axis in (x, y)]
    return torch.cat([f(a) for a in angles for f in (torch.sin, torch.cos)], dim=1)


def begin(folder: Path | None) -> LlavaOnevisionForConditionalGeneration:
    """The model with the weights of a checkpoint, or untrained; words that the checkpoint does not
    know get rows of their own."""
    tokenizer = build_tokenizer()
    model = build_model(tokenizer)
    if folder is None:
        tower = model.model.vision_tower.embeddings
        with torch.no_grad():
            tower.position_embedding.weight.copy_(
                0.6 * sines(*tower.position_embedding.weight.shape)
            )
            tower.patch_embedding.weight.normal_(0, (3 * PATCH**2) ** -0.5)
            model.get_input_embeddings().weight.normal_(0, 0.07)
            model.model.image_newline.normal_(0, 0.07)
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
    parser = options(__doc__, minutes=25.0, muon_rate=2e-3, adam_rate=1e-3, seed=21)
    parser.add_argument("--begin", type=Path, help="a checkpoint's folder; without it, untrained")
    parser.add_argument("--batch", type=int, default=128)
    args = parser.parse_args()
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
    run = Run(args.out, stage, optimisers, args.minutes)
    if run.over:
        return
    test = next(iter(Frames(512, seed=10**6, held_out=True)))
    loader = DataLoader(Frames(args.batch, args.seed + run.step), batch_size=None, num_workers=1)
    batches = iter(loader)
    while not run.over:
        batch = next(batches)
        with torch.autocast("cpu", torch.bfloat16, enabled=args.bf16):
            loss, measures = stage(batch, teacher)
        loss.backward()
        run.count()
        norm = optimisers.step(warm_cosine(run.done))
        if known:
            with torch.no_grad():
                core.language_model.embed_tokens.weight[:known] = known_rows
        if run.due(50):
            stage.eval()
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=args.bf16):
                _, held = stage(test)
            stage.train()
            run.note(
                loss=loss.item(), norm=norm, **measures, **{f"held_{k}": v for k, v in held.items()}
            )
            run.save()


if __name__ == "__main__":
    main()
