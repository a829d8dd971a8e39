"""What the streams of StreamRecall are made of: fixed, whatever models learn later.

The objects are the first 64 that lookback-mini knows, in the order of the sprite sheet.
"""

from typing import Final

OBJECTS: Final[dict[str, str]] = {
    "clock": "23F0",
    "banana": "1F34C",
    "dog": "1F436",
    "cat": "1F431",
    "car": "1F697",
    "tree": "1F333",
    "book": "1F4D5",
    "key": "1F511",
    "cup": "2615",
    "ball": "26BD",
    "shoe": "1F45F",
    "hat": "1F3A9",
    "guitar": "1F3B8",
    "phone": "1F4F1",
    "camera": "1F4F7",
    "bulb": "1F4A1",
    "rocket": "1F680",
    "bicycle": "1F6B2",
    "bus": "1F68C",
    "boat": "26F5",
    "sunflower": "1F33B",
    "cactus": "1F335",
    "lemon": "1F34B",
    "strawberry": "1F353",
    "pineapple": "1F34D",
    "pear": "1F350",
    "tomato": "1F345",
    "carrot": "1F955",
    "pizza": "1F355",
    "burger": "1F354",
    "donut": "1F369",
    "cookie": "1F36A",
    "cake": "1F382",
    "mushroom": "1F344",
    "fish": "1F41F",
    "penguin": "1F427",
    "frog": "1F438",
    "pig": "1F437",
    "panda": "1F43C",
    "rabbit": "1F430",
    "bee": "1F41D",
    "butterfly": "1F98B",
    "turtle": "1F422",
    "snail": "1F40C",
    "hammer": "1F528",
    "pencil": "270F",
    "bell": "1F514",
    "drum": "1F941",
    "trumpet": "1F3BA",
    "backpack": "1F392",
    "balloon": "1F388",
    "gift": "1F381",
    "crown": "1F451",
    "ring": "1F48D",
    "candle": "1F56F",
    "laptop": "1F4BB",
    "television": "1F4FA",
    "radio": "1F4FB",
    "chair": "1FA91",
    "broom": "1F9F9",
    "basket": "1F9FA",
    "robot": "1F916",
    "snowman": "26C4",
    "star": "2B50",
}  # fmt: skip
"""Each object's name, one word that begins with a consonant, and its emoji's code point."""

NAMES: Final = tuple(OBJECTS)

COLOURS: Final[dict[str, tuple[int, int, int]]] = {
    "red": (200, 40, 40), "orange": (235, 130, 30), "yellow": (235, 215, 60),
    "green": (50, 150, 60), "blue": (45, 85, 200), "purple": (130, 55, 165),
    "black": (28, 28, 30), "white": (238, 238, 236),
}  # fmt: skip
"""Of the ground, 8-bit RGB."""

COLOUR_NAMES: Final = tuple(COLOURS)

PLACES: Final[dict[str, tuple[float, float]]] = {
    "on the left": (0.21, 0.50), "on the right": (0.79, 0.50), "at the top": (0.50, 0.21),
    "at the bottom": (0.50, 0.79), "in the middle": (0.50, 0.50),
}  # fmt: skip
"""The phrase of an answer, and the centre as fractions (x, y) of the picture."""

PLACE_NAMES: Final = tuple(PLACES)
OUTER: Final = (0, 1, 2, 3)
"""Places that objects have room at together."""

NUMBERS: Final[tuple[str, ...]] = (
    "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen",
)  # fmt: skip
"""The counts that can be said."""


def is_held_out(obj: int, place: int, colour: int) -> bool:
    """Whether training never shows this combination; the same rule as in `training.world`."""
    return (obj * 7 + place * 3 + colour * 11 + obj // 10) % 10 == 0


HELD_OUT: Final[tuple[tuple[tuple[int, int], ...], ...]] = tuple(
    tuple(
        (place, colour)
        for place in range(len(PLACES))
        for colour in range(len(COLOURS))
        if is_held_out(obj, place, colour)
    )
    for obj in range(len(OBJECTS))
)
"""By object, the (place, colour) that training never shows it with."""
