"""How questions are put, and what answers look like. `X` stands for an object's name."""

from typing import Final

# What can be asked of one object at a time.
_OLD: Final[dict[str, tuple[str, ...]]] = {
    "now": (
        "what is it now?", "what do you see now?", "what do you see?", "what is this?",
        "what is in front of you?", "what is there right now?", "what are you looking at?",
        "what can you see right now?", "what is in front of the camera?",
    ),
    "seen": (
        "have you seen a X?", "did you see a X?", "was there a X?", "did a X appear?",
        "have you seen the X?", "did you ever see a X?",
    ),
    "after": (
        "what came right after the X?", "what came after the X?", "what did you see after the X?",
        "what was next after the X?", "what did you see right after the X?",
        "what was there after the X?",
    ),
    "before": (
        "what came right before the X?", "what came before the X?",
        "what did you see before the X?", "what was there before the X?",
        "what did you see right before the X?", "what was just before the X?",
    ),
    "first": (
        "what was the first thing you saw?", "what did you see first?", "what came first?",
        "what was the first thing?", "what was the first object?",
    ),
    "last": (
        "what was the last thing you saw?", "what did you see last?", "what came last?",
        "what was the last thing?", "what was the last object?",
    ),
    "where": (
        "where was the X?", "where did you see the X?", "where did the X appear?",
        "where have you seen the X?", "where in the picture was the X?",
    ),
    "colour": (
        "what colour was the background with the X?", "what color was the background with the X?",
        "what colour was the background behind the X?", "what colour was behind the X?",
        "which colour was the background of the X?", "what color was behind the X?",
    ),
    "count": (
        "how many different things have you seen?", "how many things have you seen?",
        "how many different things did you see?", "how many things did you see?",
        "how many different objects were there?", "how many different objects have you seen?",
    ),
    "future": (
        "what will come next?", "what will you see next?", "what comes next?", "what is next?",
        "what comes after this?", "what comes after that?", "what will come after this?",
        "what will happen next?", "what happens next?", "what is coming next?",
        "what will be there next?", "what will you see after this?", "what will you see later?",
        "what will be next?", "will you see a X next?", "will a X come next?",
    ),
}  # fmt: skip

PHRASINGS: Final[dict[str, tuple[str, ...]]] = _OLD | {
    # The same question as "now", where there are several things or only something to read.
    "scene": _OLD["now"],
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
OLD_KINDS: Final = tuple(_OLD)
NEW_KINDS: Final = tuple(kind for kind in KINDS if kind not in OLD_KINDS)

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

ANSWER_FORMS: Final = (
    "It is a X.", "I see nothing now.", "Yes, I have seen a X.", "No, I have not seen a X.",
    "I saw a X after the X.", "I saw nothing after the X.", "I saw nothing before the X.",
    "I have not seen a X.", "The first thing was a X.", "The last thing was a X.",
    "I have seen nothing.", "The background was red.", "I have seen one thing.",
    "I have seen two different things.", "I have not seen that yet.",
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
