"""The card names all that the model knows and what was measured."""

from training.card import card
from training.phrasings import KINDS
from training.world import OBJECT_NAMES, PLACE_NAMES, WORDS


def test_the_card_names_what_is_known_and_how_well() -> None:
    shares = dict.fromkeys(KINDS, 0.5) | {"ago": 0.876}
    accuracy = {
        "kinds": shares, "asked": dict.fromkeys(KINDS, 12), "old": 0.961, "new": 0.872,
        "seconds": [30, 120],
    }  # fmt: skip
    plain = {"kinds": shares | {"now": 0.99}, "asked": {"now": 5, "ago": 0}, "old": 0.97}
    text = card(accuracy, plain, 640)
    assert all(word in text for word in (*OBJECT_NAMES, *PLACE_NAMES, *WORDS))
    assert "| ago |  | 87.6 % | 12 |" in text and "| now | 99.0 % | 50.0 % | 12 |" in text
    assert "{" not in text
