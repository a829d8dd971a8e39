"""Full-cache accuracy on held-out streams: unseen combinations and photographs, other seeds,
filmed, encoded, shrunk.

    python -m training.evaluate --state models/lookback-mini
    python -m training.evaluate --state runs/decoder/state.pt --plain-share 1  # one thing at a time

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

from training.checkpoint import SIDE
from training.clips import ClipBatches, Phase
from training.film import Studio
from training.phrasings import KINDS, NEW_KINDS, OLD_KINDS
from training.render import Picture, through_codec
from training.scores import Scores
from training.stage1 import open_state
from training.stories import Story, shape_for
from training.takes import Drawer

FILM_SIDE = 192  # pixels
TAKES = 1500
QUESTIONS = 50  # per stream, as conversations of one or two turns


@dataclass(frozen=True)
class Exam:
    """Which streams; lengths in seconds, at one frame a second."""

    state: Path
    streams: int
    shortest: int
    longest: int
    plain_share: float
    seed: int


def received(studio: Studio, story: Story, rng: np.random.Generator) -> Iterator[Picture]:
    """The story's frames as a worker would get them: [side, side, RGB]."""
    codec = ("libx264", "libvpx")[int(rng.integers(2))]
    pictures = list(studio.film(story, FILM_SIDE, rng))
    for shot in through_codec(pictures, codec, int(rng.integers(150, 600)) * 1000):
        yield cv2.resize(shot, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def sit(exam: Exam, share: int, of: int) -> Scores:
    """Scores on every `of`-th stream, from the `share`-th on."""
    torch.set_num_threads(1)
    stage = open_state(exam.state).eval()
    drawer = Drawer(np.random.default_rng(exam.seed), held_out=True)
    studio = Studio([drawer.draw() for _ in range(TAKES)], held_out=True)
    scores = Scores()
    maker = ClipBatches(
        studio.cutter.takes, Phase(1, 1, most_turns=2), 1, seed=0, questions=QUESTIONS
    )
    for number in range(share, exam.streams, of):
        rng = np.random.default_rng((exam.seed, number))
        length = int(rng.integers(exam.shortest, exam.longest + 1))
        story = studio.story(shape_for(length, rng, exam.plain_share), rng)
        small = torch.from_numpy(np.stack(list(received(studio, story, rng))))
        clips = maker.ask_about([story], range(length), rng)
        with torch.inference_mode():
            visual = stage.stage0.features(small).flatten(0, 1)[None]
            scores.add(stage(clips, visual)[1], clips.kinds)
    return scores


def report(scores: Scores, exam: Exam) -> dict[str, object]:
    """What is written: the mean share of right answers of the old and the new kinds, and each."""
    return {
        "streams": exam.streams,
        "seconds": [exam.shortest, exam.longest],
        "questions": int(scores.asked.sum()),
        "old": scores.overall(OLD_KINDS),
        "new": scores.overall(NEW_KINDS),
        "kinds": scores.table(),
        "asked": dict(zip(KINDS, scores.asked.int().tolist(), strict=True)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="or a checkpoint's folder")
    parser.add_argument("--streams", type=int, default=300)
    parser.add_argument("--shortest", type=int, default=30, help="seconds, at 1 frame a second")
    parser.add_argument("--longest", type=int, default=120)
    parser.add_argument(
        "--plain-share", type=float, default=0.35, help="of streams of one thing at a time"
    )
    parser.add_argument("--seed", type=int, default=3_000_000)
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    exam = Exam(args.state, args.streams, args.shortest, args.longest, args.plain_share, args.seed)
    scores = Scores()
    with ProcessPoolExecutor(args.jobs, mp_context=get_context("spawn")) as pool:
        for share in [pool.submit(sit, exam, i, args.jobs) for i in range(args.jobs)]:
            scores.right += share.result().right
            scores.asked += share.result().asked
    text = json.dumps(report(scores, exam), indent=2)
    print(text)
    if args.out:
        args.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
