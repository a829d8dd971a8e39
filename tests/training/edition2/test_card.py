"""The card names all that the model knows and what was measured."""

from training.edition2.card import card
from training.edition2.phrasings import KINDS
from training.edition2.world import OBJECT_NAMES, PLACE_NAMES, WORDS


def test_the_card_names_what_is_known_and_how_well() -> None:
    shares = dict.fromkeys(KINDS, 0.5) | {"ago": 0.876}
    accuracy = {
        "kinds": shares, "asked": dict.fromkeys(KINDS, 12), "old": 0.961, "new": 0.872,
        "seconds": [30, 120],
    }  # fmt: skip
    text = card(accuracy, {"overall": 0.97, "kinds": {"now": 0.99}}, 640)
    assert all(word in text for word in (*OBJECT_NAMES, *PLACE_NAMES, *WORDS))
    assert "| ago |  | 87.6 % | 12 |" in text and "| now | 99.0 % | 50.0 % | 12 |" in text
    assert "{" not in text
