"""The scenes that StreamRecall films."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Scenario:
    """How a stream of one kind looks; times in seconds, sizes as shares of the picture's side."""

    name: str
    stay: float = 5.0
    """How long an object stays, on average."""
    shortest: int = 2
    empty_share: float = 0.25
    """Of the gaps between two objects that are filled by an empty ground."""
    empty_stay: float = 2.0
    most_at_once: int = 1
    size: tuple[float, float] = (0.33, 0.44)
    sway: float = 0.03
    """How far an object moves about its place."""
    pan: float = 0.0
    """How far the camera swings, and with it everything."""
    same_ground: float = 0.0
    """How long the ground stays the same, whatever comes and goes; 0: as long as an object."""
    jumps: float = 0.0
    """Share of seconds in which the exposure jumps."""
    unseen_art: bool = False


SCENARIOS: Final[dict[str, Scenario]] = {
    scenario.name: scenario
    for scenario in (
        Scenario("busy", stay=3.0, empty_share=0.1, empty_stay=1.0),
        Scenario("quiet", stay=9.0, shortest=4, empty_share=0.8, empty_stay=12.0),
        Scenario("moving", pan=0.06),
        Scenario("still", stay=6.0, sway=0.0, same_ground=60.0),
        Scenario("sudden", stay=2.0, shortest=1, empty_share=0.4, empty_stay=5.0, jumps=0.3),
        Scenario("small", size=(0.24, 0.3)),
        Scenario("several", stay=6.0, shortest=3, most_at_once=3, size=(0.26, 0.31)),
        Scenario("unseen", unseen_art=True),
    )
}
"""By name: many objects in quick succession; few, with long pauses; a camera that swings; one that
does not, before a ground that stays; objects that flash by under jumping light; small objects; two
and three at once; and objects drawn in a style that training never saw."""
