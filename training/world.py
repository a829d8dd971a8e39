"""The small world that lookback-mini knows: its objects, colours, places and number words.

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
}  # fmt: skip

# Base colours in 8-bit RGB; every frame jitters them.
COLOURS: Final[dict[str, tuple[int, int, int]]] = {
    "red": (200, 40, 40), "orange": (235, 130, 30), "yellow": (235, 215, 60),
    "green": (50, 150, 60), "blue": (45, 85, 200), "purple": (130, 55, 165),
    "black": (28, 28, 30), "white": (238, 238, 236),
}  # fmt: skip

# Centres as fractions (x, y) of the picture, and the phrase an answer uses.
PLACES: Final[dict[str, tuple[float, float]]] = {
    "left": (0.21, 0.50), "right": (0.79, 0.50), "top": (0.50, 0.21),
    "bottom": (0.50, 0.79), "middle": (0.50, 0.50),
}  # fmt: skip
PLACE_PHRASES: Final[dict[str, str]] = {
    "left": "on the left", "right": "on the right", "top": "at the top",
    "bottom": "at the bottom", "middle": "in the middle",
}  # fmt: skip

NUMBERS: Final[tuple[str, ...]] = (
    "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen",
)  # fmt: skip

OBJECT_NAMES: Final = tuple(OBJECTS)
COLOUR_NAMES: Final = tuple(COLOURS)
PLACE_NAMES: Final = tuple(PLACES)


def is_held_out(obj: int, place: int, colour: int) -> bool:
    """Whether this combination (indices) is kept for evaluation: one in ten of all."""
    return (obj * 7 + place * 3 + colour * 11 + obj // 10) % 10 == 0
