"""Films a story that no bank holds: each shot keeps its objects where they are, the camera's
faults change from frame to frame.

Knows nothing about questions.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from training.bank import Stored
from training.render import Picture, degrade
from training.sight import Look, paint
from training.stories import Cutter, Shape, Story
from training.takes import Take


class Studio:
    """Cuts stories together from takes and films these."""

    def __init__(self, takes: Sequence[Take], held_out: bool) -> None:
        self.takes, self.held_out = takes, held_out
        # A row of the "bank" is a shot: (take, shot).
        self.shots = [(t, s) for t, take in enumerate(takes) for s in range(len(take.shots))]
        first = np.cumsum([0, *(len(take.shots) for take in takes)]).tolist()
        self.cutter = Cutter(
            [Stored(take, tuple(range(first[i], first[i + 1] + 1))) for i, take in enumerate(takes)]
        )

    def story(self, shape: Shape, rng: np.random.Generator) -> Story:
        return self.cutter.draw(shape, rng)

    def film(self, story: Story, side: int, rng: np.random.Generator) -> Iterator[Picture]:
        """A picture uint8 [side, side, RGB] for every frame of the story."""
        previous, look, seed = -1, None, 0
        for row in story.rows.tolist():
            take = self.takes[self.shots[row][0]]
            if previous < 0 or self.shots[row][0] != self.shots[previous][0] or look is None:
                ground = take.shots[0].ground
                look = Look.draw(ground, take.most_things, side, rng, self.held_out, take.plain)
            if row != previous:
                seed = int(rng.integers(2**31))
            previous = row
            sight = take.shots[self.shots[row][1]]
            yield degrade(paint(sight, look, np.random.default_rng(seed)), rng)
