"""Full-cache accuracy on held-out streams: unseen combinations, filmed, encoded, shrunk.

    python -m training.evaluate --state models/lookback-mini --streams 500 --out accuracy.json

Answers are scored by teacher forcing: an answer is right when every token of it is the most
likely one, which is when greedy decoding writes exactly that sentence.
"""

import argparse
import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
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

FILM_SIDE = 192  # pixels
QUESTIONS = 2 * len(KINDS)  # per stream, of random kinds


@dataclass(frozen=True)
class Exam:
    """Which streams; lengths in seconds, at one frame a second."""

    state: Path
    streams: int
    shortest: int
    longest: int
    seed: int


def sit(exam: Exam, share: int, of: int) -> Iterator[Scores]:
    """Scores so far after each of every `of`-th stream, from the `share`-th on."""
    torch.set_num_threads(1)
    if exam.state.is_dir():
        stage = Stage1(exam.state)
    else:
        stage = Stage1()
        stage.load_state_dict(torch.load(exam.state, weights_only=True)["stage"])
    stage.eval()
    maker = ClipBatches(Phase(1, 1), 1, 1, seed=0, questions=QUESTIONS, held_out=True)
    scores = Scores()
    for number in range(share, exam.streams, of):
        rng = np.random.default_rng((exam.seed, number))
        length = int(rng.integers(exam.shortest, exam.longest + 1))
        frames = draw(shape_for(length, rng), rng, held_out=True)
        pictures = list(sample_frames(frames, FILM_SIDE, FILM_SIDE, rng))
        codec = ("libx264", "libvpx")[int(rng.integers(2))]
        coded = through_codec(pictures, codec, int(rng.integers(150, 600)) * 1000)
        small = np.stack([cv2.resize(p, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for p in coded])
        clips = maker.ask_about([frames], rng)
        with torch.inference_mode():
            visual = stage.stage0.features(torch.from_numpy(small)).flatten(0, 1)[None]
            _, right, _ = stage(clips, visual)
        scores.add(right, clips.kinds)
        yield scores


def _sit_through(exam: Exam, share: int, of: int) -> Scores:
    steps = sit(exam, share, of)
    if share == 0:
        steps = iter(track(steps, "streams", -(-exam.streams // of)))
    *_, scores = steps
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="or a checkpoint's folder")
    parser.add_argument("--streams", type=int, default=500)
    parser.add_argument("--shortest", type=int, default=30, help="seconds, at 1 frame a second")
    parser.add_argument("--longest", type=int, default=120)
    parser.add_argument("--seed", type=int, default=2_000_000)
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    exam = Exam(args.state, args.streams, args.shortest, args.longest, args.seed)
    scores = Scores()
    with ProcessPoolExecutor(args.jobs, mp_context=get_context("spawn")) as pool:
        shares = [pool.submit(_sit_through, exam, i, args.jobs) for i in range(args.jobs)]
        for share in shares:
            scores.right += share.result().right
            scores.asked += share.result().asked
    result = {
        "streams": args.streams,
        "questions": int(scores.asked.sum()),
        "overall": scores.overall(),
        "kinds": scores.table(),
        "asked": dict(zip(KINDS, scores.asked.int().tolist(), strict=True)),
    }
    print(json.dumps(result, indent=2))
    if args.out:
        args.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
