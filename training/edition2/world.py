"""The second edition's world: what can be shown, where, before what, and when.

The first 64 objects, the first five places and the first eight grounds are those of the first
edition, in its order. Knows nothing about pixels or tensors.
"""

from typing import Final

from training import world as first

OBJECTS: Final[dict[str, str]] = first.OBJECTS | {
    "lion": "\U0001f981", "tiger": "\U0001f42f", "bear": "\U0001f43b", "monkey": "\U0001f435",
    "horse": "\U0001f434", "cow": "\U0001f42e", "chicken": "\U0001f414", "duck": "\U0001f986",
    "fox": "\U0001f98a", "mouse": "\U0001f42d", "koala": "\U0001f428", "sheep": "\U0001f411",
    "giraffe": "\U0001f992", "zebra": "\U0001f993", "whale": "\U0001f433",
    "dolphin": "\U0001f42c", "shark": "\U0001f988", "snake": "\U0001f40d", "crab": "\U0001f980",
    "spider": "\U0001f577\ufe0f", "parrot": "\U0001f99c", "swan": "\U0001f9a2",
    "flamingo": "\U0001f9a9", "ladybug": "\U0001f41e", "rose": "\U0001f339", "leaf": "\U0001f341",
    "cherry": "\U0001f352", "coconut": "\U0001f965", "corn": "\U0001f33d", "cheese": "\U0001f9c0",
    "pretzel": "\U0001f968", "taco": "\U0001f32e", "lollipop": "\U0001f36d",
    "plane": "\u2708\ufe0f", "train": "\U0001f682", "truck": "\U0001f69a",
    "tractor": "\U0001f69c", "helicopter": "\U0001f681", "tent": "\u26fa", "house": "\U0001f3e0",
    "castle": "\U0001f3f0", "door": "\U0001f6aa", "bathtub": "\U0001f6c1", "spoon": "\U0001f944",
    "knife": "\U0001f52a", "magnet": "\U0001f9f2", "microscope": "\U0001f52c",
    "violin": "\U0001f3bb", "saxophone": "\U0001f3b7", "kite": "\U0001fa81",
    "trophy": "\U0001f3c6", "globe": "\U0001f30d", "moon": "\U0001f319", "rainbow": "\U0001f308",
    "snowflake": "\u2744\ufe0f", "volcano": "\U0001f30b", "ghost": "\U0001f47b",
    "pumpkin": "\U0001f383", "tie": "\U0001f454", "shirt": "\U0001f455", "lock": "\U0001f512",
    "microphone": "\U0001f3a4", "ship": "\U0001f6a2", "skateboard": "\U0001f6f9",
}  # fmt: skip

# Shown in capitals; no other word of the language is among them.
WORDS: Final = (
    "stop", "go", "open", "exit", "sale", "taxi", "hotel", "bank", "cafe", "menu", "push", "pull",
    "free", "hot", "cold", "slow", "fast", "help", "news", "live", "food", "park", "play", "home",
)  # fmt: skip
DIGITS: Final = tuple("0123456789")
TEXTS: Final = (*WORDS, *DIGITS)

PHOTO: Final = len(first.COLOURS)
"""The ground that is a photograph."""
GROUND_NAMES: Final = (*first.COLOUR_NAMES, "photo")

# Centres as fractions (x, y) of the picture; every place is a cell of the tower's 3x3 grid.
PLACES: Final[dict[str, tuple[float, float]]] = first.PLACES | {
    "top left": (0.21, 0.21), "top right": (0.79, 0.21), "bottom left": (0.21, 0.79),
    "bottom right": (0.79, 0.79),
}  # fmt: skip
PLACE_PHRASES: Final[dict[str, str]] = first.PLACE_PHRASES | {
    "top left": "at the top left", "top right": "at the top right",
    "bottom left": "at the bottom left", "bottom right": "at the bottom right",
}  # fmt: skip
DIRECTIONS: Final = ("left", "right", "up", "down")

OBJECT_NAMES: Final = tuple(OBJECTS)
PLACE_NAMES: Final = tuple(PLACES)
GRID: Final = 3
CELLS: Final = tuple(int(y * GRID) * GRID + int(x * GRID) for x, y in PLACES.values())
"""The cell of each place, in reading order from the top left."""
TEXT_PLACES: Final = (PLACE_NAMES.index("top"), PLACE_NAMES.index("bottom"))

# How long ago: a name and the seconds that it stands for. What falls between two of them is not
# asked, since no answer would be the right one.
AGES: Final[dict[str, tuple[int, int]]] = {
    "just now": (0, 4), "about ten seconds ago": (7, 14), "about thirty seconds ago": (22, 42),
    "about one minute ago": (52, 80), "about two minutes ago": (105, 160),
    "about five minutes ago": (230, 400), "about ten minutes ago": (520, 850),
    "about half an hour ago": (1400, 2600),
}  # fmt: skip
AGE_NAMES: Final = tuple(AGES)

NOT_MOVED: Final = len(DIRECTIONS)


def is_held_out(obj: int, place: int, ground: int) -> bool:
    """Whether this combination (indices) is kept for evaluation: one in ten of all. The first
    edition's combinations stay on their side."""
    return first.is_held_out(obj, place, ground)


def age_of(seconds: float) -> int | None:
    """Index of the age in AGES; None between two of them."""
    for i, (least, most) in enumerate(AGES.values()):
        if least <= seconds <= most:
            return i
    return None


def direction(start: int, end: int) -> int | None:
    """Index of the direction from one place to another; None where it is neither straight nor a
    move."""
    (x0, y0), (x1, y1) = (divmod(CELLS[place], GRID)[::-1] for place in (start, end))
    if y0 == y1 and x0 != x1:
        return 0 if x1 < x0 else 1
    if x0 == x1 and y0 != y1:
        return 2 if y1 < y0 else 3
    return None
