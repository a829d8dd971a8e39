"""Which option an answer names, by the rules that benchmarks use."""

import re
from typing import Final

_LEADS: Final = (
    "The best answer is",
    "The correct answer is",
    "The answer is",
    "The answer",
    "The best option is",
    "The correct option is",
    "Best answer:",
    "Best option:",
)


def first_letter(response: str, letters: str) -> str:
    """The first capital letter of an option once usual beginnings are taken away, else "".

    Source: `extract_characters_regex` of Video-MME's eval_your_results.py, which lmms-eval uses
    for MLVU and LongVideoBench, too. The last beginnings are as LongVideoBench has them: a missing
    comma keeps Video-MME's script from ever finding its own.
    """
    text = response.strip()
    for lead in _LEADS:
        text = text.replace(lead, "")
    found = re.search(f"[{letters}]", text) if letters else None
    return found[0] if found else ""


def before_bracket(response: str, letters: str) -> str:
    """The letter that stands before the first ")", with or without "(", else "".

    Source: `check_ans` of MLVU's choice_bench.py, where "(" is already written for the model.
    """
    text = response.strip().split(")")[0].strip().lstrip("(").strip()
    return text if len(text) == 1 and text in letters else ""


def lettered(options: tuple[str, ...], form: str = "{letter}. {text}") -> tuple[str, ...]:
    """Options with their letters, where they do not have them yet."""
    return tuple(
        text if re.match(rf"\(?{letter}[.):]", text) else form.format(letter=letter, text=text)
        for letter, text in zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", options, strict=False)
    )
