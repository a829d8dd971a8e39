"""How questions of the second edition are put, and what its answers look like.

`X` stands for an object's name. The ten kinds of the first edition come first, as they were.
"""

from typing import Final

from training import questions as first

_SIGHT: Final = first.PHRASINGS["now"]

PHRASINGS: Final[dict[str, tuple[str, ...]]] = first.PHRASINGS | {
    # The same question as "now", where there are several things or only something to read.
    "scene": _SIGHT,
    "many": (
        "how many things do you see now?", "how many things are there now?",
        "how many things can you see right now?", "how many things are in front of you?",
        "how many objects do you see now?",
    ),
    "reading": (
        "what does it say?", "what can you read?", "what is written there?", "what do you read?",
        "what does it say now?", "what can you read right now?",
    ),
    "word": (
        "what was the last word you saw?", "what was the last word?", "which word came last?",
        "what was the first word you saw?", "what was the first word?", "which word came first?",
        "have you seen the word X?", "did you see the word X?", "was there the word X?",
    ),
    "number": (
        "what was the last number you saw?", "what was the last number?",
        "which number came last?", "what was the first number you saw?",
        "what was the first number?", "which number came first?", "have you seen the number X?",
        "did you see the number X?", "was there the number X?",
    ),
    "moved": (
        "which way did the X move?", "how did the X move?", "did the X move?",
        "where did the X move?", "in which direction did the X move?",
    ),
    "happened": (
        "what just happened?", "what happened last?", "what happened just now?",
        "what has happened?", "what was the last thing that happened?",
    ),
    "still": (
        "is the X still there?", "is there still a X?", "can you still see the X?",
        "do you still see the X?", "is the X still in front of you?",
    ),
    "with": (
        "what did you see with the X?", "what was there with the X?", "what was with the X?",
        "what was beside the X?", "what did you see beside the X?",
    ),
    "ago": (
        "how long ago did you see the X?", "how long ago was the X there?",
        "how long ago did you last see the X?", "when did you last see the X?",
        "how long ago was the X?",
    ),
    "when": (
        "when did you see the X?", "when was the X there?", "when did the X appear?",
        "when was there a X?",
    ),
    "it": (),
}  # fmt: skip
KINDS: Final = tuple(PHRASINGS)
OLD_KINDS: Final = tuple(first.PHRASINGS)

# Follow-ups, by the kind of question that each puts with a pronoun.
PRONOUNS: Final[dict[str, tuple[str, ...]]] = {
    "where": ("where was it?", "where did you see it?", "where did it appear?"),
    "after": ("what came after it?", "what came right after it?", "what did you see after it?"),
    "before": ("what came before it?", "what came right before it?", "what was just before it?"),
    "colour": (
        "what colour was the background with it?", "what colour was behind it?",
        "what color was behind it?",
    ),
    "moved": ("did it move?", "which way did it move?", "where did it move?"),
    "still": ("is it still there?", "can you still see it?", "do you still see it?"),
    "with": ("what was with it?", "what did you see with it?", "what was beside it?"),
    "ago": ("how long ago was that?", "how long ago did you see it?", "how long ago was it?"),
    "when": ("when was that?", "when did you see it?", "when did it appear?"),
}  # fmt: skip

# Of the answers that the first edition did not give.
ANSWER_FORMS: Final = (
    "I see a X and a X.", "I see a X, a X and a X.", "It says X.", "It says nothing.",
    "I see two things.", "I see one thing.", "The last word was X.", "The first number was X.",
    "I have seen no word.", "I have seen no number.", "Yes, I have seen the word X.",
    "No, I have not seen the number X.", "The X moved left.", "The X moved up.",
    "The X moved down.", "The X did not move.", "A X appeared.", "A X left.", "A X moved right.",
    "Nothing happened.", "Yes, the X is still there.", "No, the X is gone.",
    "I saw a X with the X.", "I saw nothing with the X.", "I saw the X just now.",
    "I saw the X at the beginning.", "I saw the X in the middle.", "I saw the X at the end.",
    "The background was a photo.",
)  # fmt: skip
