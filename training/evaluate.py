"""Full-cache accuracy on held-out streams: unseen combinations, filmed, shrunk, encoded.

    python -m training.evaluate --state runs/decoder/state.pt --streams 500 --out accuracy.json

Answers are scored by teacher forcing: an answer is right when every token of it is the most
likely one, which is when greedy decoding writes exactly that sentence.
"""

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import torch
from rich.progress import track

from training.checkpoint import SIDE
from training.clips import ClipBatches, Phase
from training.decoder import Scores, Stage1
from training.film import sample_frames
from training.questions import KINDS
from training.render import through_codec
from training.streams import draw, shape_for


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--streams", type=int, default=500)
    parser.add_argument("--shortest", type=int, default=30, help="seconds, at 1 frame a second")
    parser.add_argument("--longest", type=int, default=120)
    parser.add_argument("--seed", type=int, default=2_000_000)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    stage = Stage1()
    stage.load_state_dict(torch.load(args.state, weights_only=True)["stage"])
    stage.eval()
    maker = ClipBatches(Phase(1, 1), 1, 1, seed=0, questions=2 * len(KINDS), held_out=True)
    scores = Scores()
    rng = np.random.default_rng(args.seed)
    for _ in track(range(args.streams), description="streams"):
        length = int(rng.integers(args.shortest, args.longest + 1))
        frames = draw(shape_for(length, rng), rng, held_out=True)
        pictures = list(sample_frames(frames, 192, 192, rng))
        codec = ("libx264", "libvpx")[int(rng.integers(2))]
        coded = through_codec(pictures, codec, int(rng.integers(150, 600)) * 1000)
        small = np.stack([cv2.resize(p, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for p in coded])
        clips = maker.ask_about([frames], rng)
        with torch.inference_mode():
            visual = stage.stage0.features(torch.from_numpy(small)).flatten(0, 1)[None]
            _, right, _ = stage(clips, visual)
        scores.add(right, clips.kinds)
    result = {"streams": args.streams, "overall": scores.overall(), "kinds": scores.table()}
    result["questions"] = int(scores.asked.sum())
    print(json.dumps(result, indent=2))
    if args.out:
        args.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
