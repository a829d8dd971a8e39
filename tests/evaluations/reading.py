"""What a benchmark makes of its folder."""

from pathlib import Path

from evaluations import BENCHMARKS
from evaluations.item import Item, Skip


def read(name: str, folder: Path, *, subtitles: bool = False) -> tuple[list[Item], list[Skip]]:
    found = list(BENCHMARKS[name].read(folder, subtitles))
    return (
        [each for each in found if isinstance(each, Item)],
        [each for each in found if isinstance(each, Skip)],
    )
