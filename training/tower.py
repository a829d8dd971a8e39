"""Stage 0: the vision tower learns what and where, densely, before any language.

Every visual token answers for its own cell: the cell under the object's centre names the
object, every other cell names the background's colour, both in the decoder's own (tied) word
embeddings, so that answering later is a copy. Two small heads read place and colour from the
object's cell.

    python -m training.tower --out runs/tower
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset
from transformers import AutoTokenizer, LlavaOnevisionForConditionalGeneration

from training.checkpoint import GRID, PATCH, SIDE, build_model, build_tokenizer
from training.optimise import Optimisers, warm_cosine
from training.render import Picture, still
from training.world import COLOUR_NAMES, OBJECT_NAMES, PLACE_NAMES, PLACES, is_held_out

MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
STD = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)
CELLS = [int(y * GRID) * GRID + int(x * GRID) for x, y in PLACES.values()]


def to_pixels(pictures: Tensor) -> Tensor:
    """uint8 [n, height, width, RGB] to the tower's input, float [n, 3, height, width]."""
    return (pictures.permute(0, 3, 1, 2).float() / 255.0 - MEAN) / STD


class Frames(IterableDataset[tuple[Tensor, Tensor]]):
    """Endless batches: pictures uint8 [n, side, side, 3]; labels [n, 3] (object, place, colour)."""

    def __init__(self, batch: int, seed: int, held_out: bool = False) -> None:
        self.batch, self.seed, self.held_out = batch, seed, held_out

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        rng = np.random.default_rng(self.seed)
        while True:
            pictures: list[Picture] = []
            labels: list[tuple[int, int, int]] = []
            while len(pictures) < self.batch:
                obj = int(rng.integers(len(OBJECT_NAMES)))
                place = int(rng.integers(len(PLACE_NAMES)))
                colour = int(rng.integers(len(COLOUR_NAMES)))
                if is_held_out(obj, place, colour) != self.held_out:
                    continue
                empty = rng.random() < 0.06
                pictures.append(still(None if empty else obj, place, colour, SIDE, rng))
                labels.append((-1 if empty else obj, place, colour))
            yield torch.from_numpy(np.stack(pictures)), torch.tensor(labels)


def sines(positions: int, width: int) -> Tensor:
    """2-D sines and cosines on a square grid: [positions, width]."""
    side = round(positions**0.5)
    quarter = width // 4
    frequencies = torch.exp(-torch.arange(quarter) * (np.log(100.0) / quarter)) * 2.0
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    angles = [axis.reshape(-1, 1) * frequencies for axis in (x, y)]
    return torch.cat([f(a) for a in angles for f in (torch.sin, torch.cos)], dim=1)


class Stage0(nn.Module):
    """The model's tower and projector with the dense losses on top."""

    def __init__(self, model: LlavaOnevisionForConditionalGeneration) -> None:
        super().__init__()
        tokenizer = build_tokenizer()
        self.core = model.model
        width = model.config.text_config.hidden_size
        self.probe_place = nn.Linear(width, len(PLACE_NAMES))
        self.probe_colour = nn.Linear(width, len(COLOUR_NAMES))
        word = tokenizer.convert_tokens_to_ids
        self.object_ids = torch.tensor([word("\u2581" + name) for name in OBJECT_NAMES])
        self.colour_ids = torch.tensor([word("\u2581" + name) for name in COLOUR_NAMES])
        self.cells = torch.tensor(CELLS)

    def features(self, pictures: Tensor) -> Tensor:
        """[n, tokens_per_frame, hidden] as the decoder will see them."""
        out = self.core.get_video_features(to_pixels(pictures)[:, None])
        tokens: Tensor = out.pooler_output[:, :-1]
        return tokens

    def forward(self, pictures: Tensor, labels: Tensor) -> tuple[Tensor, dict[str, float]]:
        features = self.features(pictures)
        table = self.core.language_model.embed_tokens.weight
        scale = features.pow(2).mean(-1, keepdim=True).add(1e-6).sqrt()
        logits = (features / scale) @ table.T
        obj, place, colour = labels.unbind(1)
        n = len(obj)
        present = obj >= 0
        rows = torch.arange(n)
        cell = self.cells[place]
        target = self.colour_ids[colour][:, None].repeat(1, features.shape[1])
        target[rows[present], cell[present]] = self.object_ids[obj[present]]
        weight = torch.ones_like(target, dtype=torch.float32)
        weight[rows[present], cell[present]] = 10.0
        dense = F.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="none")
        dense = (dense * weight.flatten()).sum() / weight.sum()
        own = features[rows, cell] / scale[rows, cell]
        place_logits = self.probe_place(own[present])
        colour_logits = self.probe_colour(own)
        loss = dense + 0.3 * F.cross_entropy(place_logits, place[present])
        loss = loss + 0.3 * F.cross_entropy(colour_logits, colour)
        # Visual tokens as large as word embeddings: neither drowns the other in the decoder.
        rms_words = table.detach().pow(2).mean().sqrt()
        loss = loss + 0.05 * (scale.log() - rms_words.log()).pow(2).mean()
        with torch.no_grad():
            said = logits.argmax(-1)
            measures = {
                "object": (said == target)[rows, cell][present].float().mean().item(),
                "ground": (said == target).float().mean().item(),
                "place": (place_logits.argmax(-1) == place[present]).float().mean().item(),
                "colour": (colour_logits.argmax(-1) == colour).float().mean().item(),
            }
        return loss, measures


def load(path: Path) -> tuple[LlavaOnevisionForConditionalGeneration, Stage0]:
    """The model and its stage 0 from a state file of this stage, or from a whole checkpoint's
    folder, whose decoder then comes along; words that it does not know yet get new rows."""
    if path.is_dir():
        model = LlavaOnevisionForConditionalGeneration.from_pretrained(path)
        known = len(AutoTokenizer.from_pretrained(path))
        table = model.get_input_embeddings().weight
        with torch.no_grad():
            # Rows no word had were only ever pushed away, all in one direction.
            table[known : len(build_tokenizer())].normal_(0, float(table[:known].std()))
        return model, Stage0(model)
    model = build_model(build_tokenizer())
    stage = Stage0(model)
    stage.load_state_dict(torch.load(path, weights_only=True)["stage"])
    with torch.no_grad():
        model.model.image_newline.normal_(0, 0.07)
    return model, stage


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--batch", type=int, default=160)
    parser.add_argument("--muon-rate", type=float, default=4e-3)
    parser.add_argument("--adam-rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)
    model = build_model(build_tokenizer())
    core = model.model
    with torch.no_grad():
        table = core.vision_tower.embeddings.position_embedding.weight
        table.copy_(0.6 * sines(*table.shape))
        core.language_model.embed_tokens.weight.normal_(0, 0.07)
        core.vision_tower.embeddings.patch_embedding.weight.normal_(0, (3 * PATCH**2) ** -0.5)
    stage = Stage0(model)
    trained = [core.vision_tower, core.multi_modal_projector, core.language_model.embed_tokens]
    named = nn.ModuleDict({"tower": trained[0], "projector": trained[1], "embed": trained[2]})
    probes = nn.ModuleDict({"probe_place": stage.probe_place, "probe_colour": stage.probe_colour})
    optimisers = Optimisers([named, probes], args.muon_rate, args.adam_rate)
    state_file = args.out / "state.pt"
    spent, step = 0.0, 0
    if state_file.exists():
        state = torch.load(state_file, weights_only=True)
        stage.load_state_dict(state["stage"])
        optimisers.load_state_dict(state["optimisers"])
        spent, step = state["spent"], state["step"]
    test = iter(Frames(512, seed=10**6, held_out=True))
    test_pictures, test_labels = next(test)
    loader = DataLoader(Frames(args.batch, args.seed + step), batch_size=None, num_workers=1)
    log = (args.out / "log.jsonl").open("a")
    begun = time.monotonic() - spent
    for pictures, labels in loader:
        spent = time.monotonic() - begun
        done = spent / (args.minutes * 60)
        loss, measures = stage(pictures, labels)
        loss.backward()
        norm = optimisers.step(warm_cosine(done))
        step += 1
        last = done >= 1
        if step % 50 == 0 or last:
            stage.eval()
            with torch.no_grad():
                _, held = stage(test_pictures, test_labels)
            stage.train()
            row = {"step": step, "minutes": spent / 60, "loss": loss.item(), "norm": norm}
            row |= measures | {f"held_{k}": v for k, v in held.items()}
            row = {k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}
            print(json.dumps(row), file=log, flush=True)
            print(row, flush=True)
        if step % 200 == 0 or last:
            state = {"stage": stage.state_dict(), "optimisers": optimisers.state_dict()}
            torch.save(state | {"spent": spent, "step": step}, state_file)
        if last:
            break


if __name__ == "__main__":
    main()
