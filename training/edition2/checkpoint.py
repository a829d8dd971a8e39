"""The second edition's tokenizer: the first's words under their ids, then its own.

Sides, patches and layers are those of `training.checkpoint`.
"""

import re

from transformers import PreTrainedTokenizerFast

from training import checkpoint as first
from training.edition2.phrasings import ANSWER_FORMS, PHRASINGS, PRONOUNS
from training.edition2.world import AGE_NAMES, DIGITS, GROUND_NAMES, OBJECT_NAMES, WORDS


def vocabulary() -> list[str]:
    """Every word of the language, in a fixed order."""
    words = first.vocabulary()
    forms = [*PHRASINGS.values(), *PRONOUNS.values()]
    questions = [form for group in forms for form in group]
    for form in (*questions, *ANSWER_FORMS, *AGE_NAMES):
        words += re.findall(r"\w+", form.replace("X", ""))
    words += [form.split()[0].capitalize() for form in questions]
    words += [*OBJECT_NAMES, *GROUND_NAMES, *WORDS, *DIGITS]
    return list(dict.fromkeys(words))


def build_tokenizer() -> PreTrainedTokenizerFast:
    """One token a word; punctuation apart."""
    return first.build_tokenizer(vocabulary())
