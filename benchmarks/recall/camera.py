"""Films a script, one frame at a time."""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.recall.art import Sprite
from benchmarks.recall.script import Script, Shot
from benchmarks.recall.world import COLOUR_NAMES, COLOURS, PLACE_NAMES, PLACES

SIDE: Final = 192  # pixels

Picture = NDArray[np.uint8]
_Canvas = NDArray[np.float32]


class Camera:
    """A bad camera before a scripted stream: light, movement, blur, noise and JPEG.

    The frame of a second depends on the script alone, not on the frames that were taken before.
    """

    def __init__(self, script: Script, sprites: Sequence[Sprite]) -> None:
        self._script = script
        self._sprites = sprites
        self._starts = [shot.start for shot in script.shots]
        self._take: tuple[Shot, _Take] | None = None

    def picture(self, second: int) -> Picture:
        """RGB `[SIDE, SIDE, 3]`."""
        number = int(np.searchsorted(self._starts, second, side="right")) - 1
        shot = self._script.shots[number]
        if self._take is None or self._take[0] is not shot:
            self._take = shot, _Take(self._script, number)
        take, scenario = self._take[1], self._script.scenario
        rng = np.random.default_rng((*self._script.seed, 2, second))
        swing = np.sin(np.array((0.53, 0.37)) * second + take.swing) * scenario.pan * SIDE
        scale = 1.0 + 1.5 * scenario.pan * float(np.sin(0.29 * second + take.swing[0]))
        canvas = take.ground(swing)
        for place, thing in enumerate(shot.things):
            x, y = PLACES[PLACE_NAMES[thing.place]]
            sway_x, sway_y, turn = np.sin(take.pace[place] * second + take.phase[place])
            centre = (
                x * SIDE + swing[0] + sway_x * scenario.sway * SIDE,
                y * SIDE + swing[1] + sway_y * scenario.sway * SIDE,
            )
            tilt = float(turn) * (9.0 if scenario.sway else 1.0)
            size = take.size[place] * scale * SIDE
            _paste(canvas, self._sprites[thing.obj], centre, size, tilt)
        exposure = float(rng.uniform(0.96, 1.04))
        if rng.random() < scenario.jumps:
            exposure *= float(rng.choice((0.72, 1.25)))
        return _degraded(canvas * exposure, rng)


def blank(size: tuple[int, int] | None) -> Picture:
    """A frame without anything, `size` (width, height)."""
    width, height = size or (SIDE, SIDE)
    return np.zeros((height, width, 3), dtype=np.uint8)


class _Take:
    """What stays the same while a shot lasts."""

    def __init__(self, script: Script, number: int) -> None:
        scenario, shot = script.scenario, script.shots[number]
        rng = np.random.default_rng((*script.seed, 1, number))
        things = len(shot.things)
        self.size = rng.uniform(*scenario.size, things)
        self.pace = rng.uniform(0.3, 1.4, (things, 3))
        self.phase = rng.uniform(0, 2 * np.pi, (things, 3))
        if scenario.same_ground:  # the light stays, too
            stage = int(shot.start // scenario.same_ground)
            rng = np.random.default_rng((*script.seed, 3, stage))
        # The camera swings through the cuts.
        self.swing = np.random.default_rng((*script.seed, 4)).uniform(0, 2 * np.pi, 2)
        base = np.array(COLOURS[COLOUR_NAMES[shot.colour]], dtype=np.float32)
        self._base = base + rng.normal(0, 8, 3).astype(np.float32)
        coarse = rng.normal(0, 1, (6, 6)).astype(np.float32)
        wide = SIDE + SIDE // 4
        light = cv2.resize(coarse, (wide, wide), interpolation=cv2.INTER_CUBIC)
        ramp = np.linspace(-1, 1, wide, dtype=np.float32)
        across, down = rng.normal(0, 0.06, 2)
        self._light = 1.0 + across * ramp[None] + down * ramp[:, None] + 0.03 * light

    def ground(self, swing: NDArray[np.float64]) -> _Canvas:
        """The lit ground as the camera sees it, `[SIDE, SIDE, RGB]` in 0..255."""
        x, y = (round(SIDE / 8 - float(by)) for by in swing)
        lit: _Canvas = self._base * self._light[y : y + SIDE, x : x + SIDE, None]
        return lit


def _paste(
    canvas: _Canvas, art: Sprite, centre: tuple[float, float], size: float, tilt: float
) -> None:
    """Draw in place: `size` is the longer side in pixels, `tilt` in degrees."""
    height, width = art.shape[:2]
    side = int(np.ceil(size * 1.3))
    zoom = size / max(height, width)
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), tilt, zoom)
    left, top = round(centre[0] - side / 2), round(centre[1] - side / 2)
    turn[:, 2] += (centre[0] - left - width / 2, centre[1] - top - height / 2)
    if zoom < 0.8:  # no aliasing
        art = cv2.GaussianBlur(art, (0, 0), 0.4 / zoom)
    drawn = cv2.warpAffine(art, turn, (side, side), flags=cv2.INTER_LINEAR)
    x0, y0, x1, y1 = max(0, left), max(0, top), min(SIDE, left + side), min(SIDE, top + side)
    cut = drawn[y0 - top : y1 - top, x0 - left : x1 - left]
    alpha = cut[..., 3:4]
    view = canvas[y0:y1, x0:x1]
    view[...] = view * (1 - alpha) + cut[..., :3] * 255.0 * alpha


def _degraded(canvas: _Canvas, rng: np.random.Generator) -> Picture:
    if rng.random() < 0.4:
        canvas = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.5, 1.8))
    noise = rng.standard_normal(canvas.shape, dtype=np.float32) * np.float32(rng.uniform(0, 8))
    shot = np.clip(canvas + noise, 0, 255).astype(np.uint8)
    quality = int(rng.integers(50, 95))
    done, jpeg = cv2.imencode(".jpg", shot[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    seen = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
    assert seen is not None
    return np.ascontiguousarray(seen[..., ::-1])
