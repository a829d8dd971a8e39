"""Films a stream: each appearance keeps its object, light and ground while the object drifts.

Knows nothing about questions.
"""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from training.questions import Frame
from training.render import Picture, background, degrade, paste
from training.world import PLACE_NAMES, PLACES


class Take:
    """One appearance (or one empty stretch) before the camera."""

    def __init__(self, scene: Frame, side: int, rng: np.random.Generator) -> None:
        self.scene, self.side = scene, side
        self.ground = background(scene.colour, side, rng)
        self.size = rng.uniform(0.33, 0.44) * side
        self.aspect = rng.uniform(0.9, 1.05)
        self.reach = rng.uniform(0.0, 0.035, 2) * side
        self.tilt = rng.uniform(0, 9)
        self.pace = rng.uniform(0.3, 1.4, 3)
        self.phase = rng.uniform(0, 2 * np.pi, 3)

    def picture(self, seconds: float) -> NDArray[np.float32]:
        """The scene `seconds` into the take, before the camera's faults: [side, side, RGB]."""
        ground = self.ground.copy()
        if self.scene.obj >= 0:
            x, y, turn = np.sin(self.pace * seconds + self.phase)
            fx, fy = PLACES[PLACE_NAMES[self.scene.place]]
            centre = (fx * self.side + x * self.reach[0], fy * self.side + y * self.reach[1])
            angle = float(turn * self.tilt)
            paste(ground, self.scene.obj, centre, self.size, angle, self.aspect)
        return ground


def sample_frames(
    frames: Sequence[Frame], side: int, out_side: int, rng: np.random.Generator
) -> Iterator[Picture]:
    """One picture per frame as a worker would get it: filmed at `side`, degraded by the camera,
    shrunk to `out_side`."""
    take: Take | None = None
    since = 0
    for i, frame in enumerate(frames):
        if take is None or frame != take.scene:
            take, since = Take(frame, side, rng), i
        picture = degrade(take.picture(float(i - since)), rng)
        yield cv2.resize(picture, (out_side, out_side), interpolation=cv2.INTER_AREA)
