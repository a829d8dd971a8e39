"""Films the sample clip and writes its questions: samples/objects.mp4, samples/objects.json.

python -m training.clip --out samples
"""

import argparse
import json
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import numpy as np
from numpy.typing import NDArray

from training.art import sprite
from training.render import background
from training.sight import stamp
from training.world import COLOUR_NAMES, OBJECT_NAMES, PLACE_PHRASES, PLACES

SIDE: Final = 480
RATE: Final = 15

# Seconds on screen, object (None: an empty scene), place, colour of the background.
SCRIPT: Final[tuple[tuple[float, str | None, str, str], ...]] = (
    (9, "guitar", "middle", "blue"),
    (8, "banana", "left", "purple"),
    (3, None, "middle", "white"),
    (9, "clock", "right", "green"),
    (8, "dog", "bottom", "orange"),
    (8, "rocket", "top", "black"),
    (4, None, "middle", "yellow"),
    (9, "cup", "middle", "red"),
    (8, "sunflower", "left", "white"),
    (8, "penguin", "right", "yellow"),
    (9, "pizza", "bottom", "blue"),
    (4, None, "middle", "green"),
    (8, "car", "top", "purple"),
    (9, "crown", "middle", "black"),
    (8, "camera", "left", "orange"),
    (8, "frog", "right", "red"),
)


class Take:
    """One scene before the camera: the object keeps its size, light and ground while it drifts."""

    def __init__(
        self, name: str | None, place: str, colour: str, side: int, rng: np.random.Generator
    ) -> None:
        self.side = side
        self.ground = background(COLOUR_NAMES.index(colour), side, rng)
        self.art = None if name is None else sprite(OBJECT_NAMES.index(name), 0)
        self.centre = PLACES[place]
        self.size = rng.uniform(0.33, 0.44) * side
        self.aspect = rng.uniform(0.9, 1.05)
        self.reach = rng.uniform(0.0, 0.035, 2) * side
        self.tilt = rng.uniform(0, 9)
        self.pace = rng.uniform(0.3, 1.4, 3)
        self.phase = rng.uniform(0, 2 * np.pi, 3)

    def picture(self, seconds: float) -> NDArray[np.float32]:
        """The scene `seconds` into the take: [side, side, RGB] in 0..255."""
        ground = self.ground.copy()
        if self.art is not None:
            x, y, turn = np.sin(self.pace * seconds + self.phase)
            fx, fy = self.centre
            centre = (fx * self.side + x * self.reach[0], fy * self.side + y * self.reach[1])
            height, width = self.art.shape[:2]
            scale = self.size / max(height, width)
            size = (width * scale * self.aspect, height * scale)
            stamp(ground, self.art, centre, float(turn * self.tilt), size)
        return ground


def questions() -> list[dict[str, object]]:
    """The questions of the clip, at the second each is asked."""
    rows: list[tuple[float, str, str]] = [
        (14.0, "What do you see now?", "It is a banana."),
        (27.0, "What did you see before the clock?", "I saw a banana before the clock."),
        (33.0, "What is it now?", "It is a dog."),
        (41.0, "What came right after the clock?", "I saw a dog after the clock."),
        (43.0, "Have you seen a dog?", "Yes, I have seen a dog."),
        (55.0, "What was the first thing you saw?", "The first thing was a guitar."),
        (60.0, "Where was the rocket?", f"The rocket was {PLACE_PHRASES['top']}."),
        (63.0, "Where was the clock?", f"The clock was {PLACE_PHRASES['right']}."),
        (68.0, "Have you seen a clock?", "Yes, I have seen a clock."),
        (72.0, "What came right after the dog?", "I saw a rocket after the dog."),
        (77.0, "What do you see now?", "It is a pizza."),
        (80.0, "Have you seen a snowman?", "No, I have not seen a snowman."),
        (86.0, "What is it now?", "I see nothing now."),
        (88.0, "What colour was the background with the banana?", "The background was purple."),
        (92.0, "What was the first thing you saw?", "The first thing was a guitar."),
        (99.0, "What is it now?", "It is a crown."),
        (101.0, "What colour was the background with the cup?", "The background was red."),
        (106.0, "What did you see before the cup?", "I saw a rocket before the cup."),
        (109.0, "What came right after the penguin?", "I saw a pizza after the penguin."),
        (112.0, "Where was the hammer?", "I have not seen a hammer."),
        (117.0, "Have you seen a guitar?", "Yes, I have seen a guitar."),
        (118.5, "What was the last thing you saw?", "The last thing was a frog."),
    ]
    return [{"at": at, "question": q, "expected": a} for at, q, a in rows]


def scenes() -> list[dict[str, object]]:
    """What the clip shows from when to when, in seconds; `object` None is an empty scene."""
    rows: list[dict[str, object]] = []
    at = 0.0
    for seconds, name, place, colour in SCRIPT:
        shown = {"object": name, "place": place if name else None, "colour": colour}
        rows.append({"start": at, "end": at + seconds, **shown})
        at += seconds
    return rows


def film(path: Path, seed: int = 11) -> float:
    """Write the clip; returns its length in seconds."""
    rng = np.random.default_rng(seed)
    total = sum(row[0] for row in SCRIPT)
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "27", "preset": "slow", "g": str(RATE * 2)}
        at = 0
        for seconds, name, place, colour in SCRIPT:
            take = Take(name, place, colour, SIDE, rng)
            for i in range(round(seconds * RATE)):
                picture = take.picture(i / RATE)
                grain = rng.normal(0, 2.0, (SIDE // 2, SIDE // 2, 1)).repeat(2, 0).repeat(2, 1)
                frame = np.clip(picture + grain, 0, 255).astype(np.uint8)
                image = av.VideoFrame.from_ndarray(frame, format="rgb24")
                image.pts, image.time_base = at, Fraction(1, RATE)
                container.mux(stream.encode(image))
                at += 1
        container.mux(stream.encode(None))
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("samples"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    seconds = film(args.out / "objects.mp4")
    script = {"questions": questions(), "scenes": scenes()}
    content = {"clip": "objects.mp4", "seconds": seconds} | script
    (args.out / "objects.json").write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
