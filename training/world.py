"""The small world that lookback-mini knows: what can be shown, where, before what, and when.

Knows nothing about pixels or tensors.
"""

from typing import Final

# One word each, drawn from the Noto colour emoji font; every name begins with a
# consonant, so that the article in an answer never depends on the noun after it.
OBJECTS: Final[dict[str, str]] = {
    "clock": "\u23f0", "banana": "\U0001f34c", "dog": "\U0001f436", "cat": "\U0001f431",
    "car": "\U0001f697", "tree": "\U0001f333", "book": "\U0001f4d5", "key": "\U0001f511",
    "cup": "\u2615", "ball": "\u26bd", "shoe": "\U0001f45f", "hat": "\U0001f3a9",
    "guitar": "\U0001f3b8", "phone": "\U0001f4f1", "camera": "\U0001f4f7", "bulb": "\U0001f4a1",
    "rocket": "\U0001f680", "bicycle": "\U0001f6b2", "bus": "\U0001f68c", "boat": "\u26f5",
    "sunflower": "\U0001f33b", "cactus": "\U0001f335", "lemon": "\U0001f34b",
    "strawberry": "\U0001f353", "pineapple": "\U0001f34d", "pear": "\U0001f350",
    "tomato": "\U0001f345", "carrot": "\U0001f955", "pizza": "\U0001f355",
    "burger": "\U0001f354", "donut": "\U0001f369", "cookie": "\U0001f36a", "cake": "\U0001f382",
    "mushroom": "\U0001f344", "fish": "\U0001f41f", "penguin": "\U0001f427",
    "frog": "\U0001f438", "pig": "\U0001f437", "panda": "\U0001f43c", "rabbit": "\U0001f430",
    "bee": "\U0001f41d", "butterfly": "\U0001f98b", "turtle": "\U0001f422",
    "snail": "\U0001f40c", "hammer": "\U0001f528", "pencil": "\u270f\ufe0f",
    "bell": "\U0001f514", "drum": "\U0001f941", "trumpet": "\U0001f3ba",
    "backpack": "\U0001f392", "balloon": "\U0001f388", "gift": "\U0001f381",
    "crown": "\U0001f451", "ring": "\U0001f48d", "candle": "\U0001f56f\ufe0f",
    "laptop": "\U0001f4bb", "television": "\U0001f4fa", "radio": "\U0001f4fb",
    "chair": "\U0001fa91", "broom": "\U0001f9f9", "basket": "\U0001f9fa", "robot": "\U0001f916",
    "snowman": "\u26c4", "star": "\u2b50",
    # Those above are shown alone and large, too: see takes.plain.
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

# Base colours in 8-bit RGB; every frame jitters them.
COLOURS: Final[dict[str, tuple[int, int, int]]] = {
    "red": (200, 40, 40), "orange": (235, 130, 30), "yellow": (235, 215, 60),
    "green": (50, 150, 60), "blue": (45, 85, 200), "purple": (130, 55, 165),
    "black": (28, 28, 30), "white": (238, 238, 236),
}  # fmt: skip

# Centres as fractions (x, y) of the picture, each in a cell of the tower's 3x3 grid; and the
# phrase an answer uses.
PLACES: Final[dict[str, tuple[float, float]]] = {
    "left": (0.21, 0.50), "right": (0.79, 0.50), "top": (0.50, 0.21),
    "bottom": (0.50, 0.79), "middle": (0.50, 0.50),
    "top left": (0.21, 0.21), "top right": (0.79, 0.21), "bottom left": (0.21, 0.79),
    "bottom right": (0.79, 0.79),
}  # fmt: skip
PLACE_PHRASES: Final[dict[str, str]] = {
    "left": "on the left", "right": "on the right", "top": "at the top",
    "bottom": "at the bottom", "middle": "in the middle",
    "top left": "at the top left", "top right": "at the top right",
    "bottom left": "at the bottom left", "bottom right": "at the bottom right",
}  # fmt: skip
DIRECTIONS: Final = ("left", "right", "up", "down")

NUMBERS: Final[tuple[str, ...]] = (
    "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen",
)  # fmt: skip

PHOTO: Final = len(COLOURS)
"""The ground that is a photograph."""

OBJECT_NAMES: Final = tuple(OBJECTS)
COLOUR_NAMES: Final = tuple(COLOURS)
GROUND_NAMES: Final = (*COLOUR_NAMES, "photo")
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
    """Whether this combination (indices) is kept for evaluation: one in ten of all."""
    return (obj * 7 + place * 3 + ground * 11 + obj // 10) % 10 == 0


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
