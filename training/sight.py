"""One frame, as symbols and as a picture.

Knows nothing about questions or models.
"""

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from training.art import FONTS, STYLES, Sprite, lettering, photo_ground, sprite
from training.render import Picture, background, degrade
from training.world import CELLS, PHOTO, PLACE_NAMES, PLACES, TEXTS


class Thing(NamedTuple):
    """An object at a place (indices)."""

    obj: int
    place: int


class Sight(NamedTuple):
    """What one frame shows. `text` is an index into TEXTS, at the place `text_place`; -1: none."""

    things: tuple[Thing, ...]
    ground: int
    text: int = -1
    text_place: int = -1

    def place_of(self, obj: int) -> int:
        """Where an object is; -1: nowhere."""
        return next((thing.place for thing in self.things if thing.obj == obj), -1)


def stamp(ground: NDArray[np.float32], art: Sprite, centre: tuple[float, float], angle: float,
          size: tuple[float, float]) -> None:  # fmt: skip
    """Draw `art` on `ground` in place: `centre` (x, y) and `size` (width, height) in pixels."""
    w, h = max(4, round(size[0])), max(4, round(size[1]))
    small = cv2.resize(art, (w, h), interpolation=cv2.INTER_AREA)
    pad = max(w, h) // 4
    small = cv2.copyMakeBorder(small, pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=0)
    if angle:
        turn = cv2.getRotationMatrix2D((small.shape[1] / 2, small.shape[0] / 2), angle, 1.0)
        small = cv2.warpAffine(small, turn, (small.shape[1], small.shape[0]))
    x0, y0 = round(centre[0] - small.shape[1] / 2), round(centre[1] - small.shape[0] / 2)
    x1, y1 = max(0, x0), max(0, y0)
    x2, y2 = min(ground.shape[1], x0 + small.shape[1]), min(ground.shape[0], y0 + small.shape[0])
    cut = small[y1 - y0 : y2 - y0, x1 - x0 : x2 - x0]
    view = ground[y1:y2, x1:x2]
    view[...] = view * (1 - cut[..., 3:4]) + cut[..., :3] * 255.0 * cut[..., 3:4]


@dataclass
class Look:
    """How a take is drawn; the same in all of its frames."""

    ground: NDArray[np.float32]
    style: int
    crowded: bool
    scale: float
    font: int
    dark: bool
    plate: bool
    text_width: float

    @classmethod
    def draw(cls, ground: int, most_things: int, side: int, rng: np.random.Generator,
             held_out: bool = False, plain: bool = False) -> "Look":  # fmt: skip
        """A random look. `plain` is Noto's style, large."""
        if ground == PHOTO:
            canvas = photo_ground(side, rng, held_out)
        else:
            canvas = background(ground, side, rng)
        small = most_things > 1 or (not plain and rng.random() < 0.4)
        return cls(
            ground=canvas,
            style=0 if plain else int(rng.random() < 0.5) * (len(STYLES) - 1),
            crowded=most_things > 1,
            scale=float(rng.uniform(0.22, 0.33) if small else rng.uniform(0.31, 0.46)),
            font=int(rng.integers(len(FONTS))),
            dark=bool(rng.random() < 0.5),
            plate=bool(rng.random() < 0.5),
            text_width=float(rng.uniform(0.5, 0.85)),
        )


def paint(sight: Sight, look: Look, rng: np.random.Generator) -> NDArray[np.float32]:
    """The scene before the camera's faults: [side, side, RGB] in 0..255."""
    canvas = look.ground.copy()
    side = canvas.shape[0]
    reach = 0.04 if look.crowded else 0.05
    for obj, place in sight.things:
        fx, fy = PLACES[PLACE_NAMES[place]]
        dx, dy = rng.uniform(-reach, reach, 2)
        art = sprite(obj, look.style)
        scale = look.scale * side * rng.uniform(0.95, 1.05) / max(art.shape[:2])
        size = (art.shape[1] * scale * rng.uniform(0.88, 1.1), art.shape[0] * scale)
        stamp(canvas, art, ((fx + dx) * side, (fy + dy) * side), rng.uniform(-12, 12), size)
    if sight.text >= 0:
        text = TEXTS[sight.text]
        art = lettering(text, look.font, look.dark, look.plate)
        height = side * rng.uniform(0.19, 0.27)
        width = min(height * art.shape[1] / art.shape[0], side * look.text_width)
        fx, fy = PLACES[PLACE_NAMES[sight.text_place]]
        dx, dy = rng.uniform(-0.04, 0.04, 2)
        stamp(canvas, art, ((fx + dx) * side, (fy + dy) * side), rng.uniform(-3, 3),
              (width, height))  # fmt: skip
    return canvas


def picture(sight: Sight, look: Look, rng: np.random.Generator) -> Picture:
    """The frame as a cheap camera takes it: uint8 [side, side, RGB]."""
    return degrade(paint(sight, look, rng), rng)


def cell_labels(sight: Sight) -> list[int]:
    """For each of the nine cells: -1 the ground, an object's index, or 1000 + a text's index."""
    labels = [-1] * len(CELLS)
    for obj, place in sight.things:
        labels[CELLS[place]] = obj
    if sight.text >= 0:
        labels[CELLS[sight.text_place]] = 1000 + sight.text
    return labels
