"""The sample clip cut into its scenes and played without an end, with answers that are known.

Scenes come in random order and stay for a random time, each either as it was filmed or with the
halves of the picture changed over, so that what was on the left is on the right. No object comes
back before all others have been shown. Knows nothing of models and sessions.
"""

import json
import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

import lookback_files
from lookback.video import Video
from model_worker.picture import fitted
from training.chronicle import Chronicle
from training.questions import Asker, Exchange, phrase
from training.sight import Sight, Thing
from training.world import COLOUR_NAMES, OBJECT_NAMES, PLACE_NAMES

SAMPLE: Final = lookback_files.SAMPLES / "objects.mp4"
RECENT_SECONDS: Final = 300
KINDS: Final = ("now", "last", "seen", "never", "before", "after", "where", "colour")

_RATE = 5.0  # pictures taken from a second of the clip
_EDGE = 0.2  # seconds at either end of a scene that are not used
_STAY = (6, 18)  # seconds
_EMPTY_SHARE = 0.2  # of the gaps between two objects
_EMPTY_STAY = (2, 6)  # seconds
_TRIES = 20
_OPPOSITE = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}


@dataclass(frozen=True)
class Scene:
    """What is shown, and pictures of it, RGB `[height, width, 3]`, in the order of their times."""

    shows: Sight
    pictures: Sequence[NDArray[np.uint8]]


def read_scenes(size: tuple[int, int] | None, max_pixels: int, clip: Path = SAMPLE) -> list[Scene]:
    """The scenes of a clip by the list beside it, and those that can with halves changed over.

    Pictures are brought to `size` (width, height), or within `max_pixels` where None, as a worker
    does with a frame. (Mirrored ones would show objects as no artist drew them.)
    """
    rows = json.loads(clip.with_suffix(".json").read_text())["scenes"]
    pictures: list[list[NDArray[np.uint8]]] = [[] for _ in rows]
    for sampled in Video(clip).sampled(_RATE):
        for row, taken in zip(rows, pictures, strict=True):
            if row["start"] + _EDGE <= sampled.timestamp <= row["end"] - _EDGE:
                taken.append(fitted(sampled.pixels, size, max_pixels))
    scenes = []
    for row, taken in zip(rows, pictures, strict=True):
        place = row["place"]
        scenes.append(Scene(_shown(row["object"], place, row["colour"]), taken))
        if place in _OPPOSITE:
            shows = _shown(row["object"], _OPPOSITE[place], row["colour"])
            scenes.append(Scene(shows, [_changed_over(picture, place) for picture in taken]))
    return scenes


def _changed_over(picture: NDArray[np.uint8], place: str) -> NDArray[np.uint8]:
    axis = 1 if place in ("left", "right") else 0
    return np.roll(picture, picture.shape[axis] // 2, axis=axis)


def _shown(name: str | None, place: str | None, colour: str) -> Sight:
    ground = COLOUR_NAMES.index(colour)
    if name is None or place is None:
        return Sight((), ground)
    return Sight((Thing(OBJECT_NAMES.index(name), PLACE_NAMES.index(place)),), ground)


def object_of(sight: Sight) -> int:
    """The index of the object that is shown, -1 for none."""
    return sight.things[0].obj if sight.things else -1


class Stream:
    """One endless stream, a picture a second. The same seed plays the same stream."""

    def __init__(self, scenes: Sequence[Scene], seed: int) -> None:
        self._random = np.random.default_rng((0, seed))
        self._asking = np.random.default_rng((1, seed))
        self._by_object: dict[int, list[Scene]] = {}
        for scene in scenes:
            self._by_object.setdefault(object_of(scene.shows), []).append(scene)
        self._empty = self._by_object.pop(-1, [])
        self._deck: list[int] = []
        self._coming: deque[tuple[NDArray[np.uint8], Sight]] = deque()
        self.shown: deque[Sight] = deque(maxlen=RECENT_SECONDS)
        """What the latest pictures showed."""

    def next(self) -> NDArray[np.uint8]:
        """The next second's picture, RGB `[height, width, 3]`."""
        if not self._coming:
            self._plan()
        picture, shows = self._coming.popleft()
        self.shown.append(shows)
        return picture

    def _plan(self) -> None:
        if self._empty and self._random.random() < _EMPTY_SHARE:
            self._play(self._empty, _EMPTY_STAY)
        if not self._deck:
            latest = next((s.things[0].obj for s in reversed(self.shown) if s.things), None)
            self._deck = [int(obj) for obj in self._random.permutation(sorted(self._by_object))]
            if self._deck[-1] == latest:
                self._deck.reverse()
        self._play(self._by_object[self._deck.pop()], _STAY)

    def _play(self, scenes: Sequence[Scene], stay: tuple[int, int]) -> None:
        scene = scenes[int(self._random.integers(len(scenes)))]
        for _ in range(int(self._random.integers(stay[0], stay[1] + 1))):
            picture = scene.pictures[int(self._random.integers(len(scene.pictures)))]
            self._coming.append((picture, scene.shows))

    def question(self, kind: str) -> Exchange | None:
        """A question of one of KINDS about the last RECENT_SECONDS, with its answer; None where
        they allow none. Places, colours and neighbours are asked of what was shown once in that
        time; "never" asks for an object that the whole stream does not have."""
        if kind == "never":
            unknown = [i for i in range(len(OBJECT_NAMES)) if i not in self._by_object]
            about = unknown[self._asking.integers(len(unknown))]
            name = OBJECT_NAMES[about]
            text = phrase("seen", self._asking, name)
            return Exchange(kind, text, f"No, I have not seen a {name}.", about, name, absent=True)
        asker = Asker(Chronicle(list(self.shown)), self._asking)
        for _ in range(_TRIES):
            asked = asker.ask(kind)
            if asked is None or asked.absent:  # what is absent here may have been there before
                continue
            if kind == "now" or "nothing" not in asked.answer:  # neither was there nothing before
                return asked
        return None


def right(answer: str, expected: str) -> bool:
    """Whether the words are the same, whatever the case and punctuation."""
    return _words(answer) == _words(expected)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
