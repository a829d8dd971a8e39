"""EgoSchema: five-way questions about three minutes of somebody's day.

Sources: files and fields from github.com/egoschema/EgoSchema, where the right answers to 500 of
the 5,031 questions are public (subset_answers.json) and validate.py sends {q_uid: index} of all to
the authors' server. The repository has no prompt for chat models: prompt and the rule for answers
(the letter, the option, or both, and nothing else) are lmms-eval's, egoschema/utils.py.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from evaluations.benchmark import Benchmark, Record
from evaluations.errors import EvalError
from evaluations.item import Item, Skip, Verdict
from evaluations.rows import Row, RowError, each, read_json, required, video

_OPTIONS = range(5)


class EgoSchema(Benchmark):
    name = "egoschema"
    title = "EgoSchema (the 500 questions with public answers)"
    source = "github.com/egoschema/EgoSchema; Ego4D's licence"
    expects = (
        "questions.json",
        "subset_answers.json",
        "videos/Q_UID.mp4",
    )
    remarks = (
        "Task `subset` is asked by default; `--tasks subset,hidden` asks all, and writes "
        "RESULTS.submission.json for the authors' server."
    )
    tasks = ("subset",)
    max_tokens = 64

    def read(self, folder: Path, subtitles: bool) -> Iterator[Item | Skip]:
        file = required(folder, "questions.json")
        known = _answers(required(folder, "subset_answers.json"))

        def make(row: Row) -> Iterable[Item]:
            return [_item(folder, row, known)]

        return each(file, read_json(file), make)

    def judge(self, item: Item, responses: Sequence[str]) -> Verdict:
        chosen = _chosen(responses[-1].strip(), item.options)
        return Verdict(chosen, None if item.answer is None else float(chosen == item.answer))

    def predictions(self, records: Sequence[Record]) -> tuple[str, str] | None:
        if all(record["answer"] is not None for record in records):
            return None
        chosen = {record["id"]: "ABCDE".find(record["chosen"] or "?") for record in records}
        return ".submission.json", json.dumps(chosen, indent=1) + "\n"


def _chosen(said: str, options: tuple[str, ...]) -> str:
    for letter, option in zip("ABCDE", options, strict=True):
        sentence = option if option.endswith(".") else f"{option}."
        whole = f"{letter}. {sentence}"
        if said in (letter, f"{letter}.", option, sentence, whole, whole.removesuffix(".")):
            return letter
    return ""


def _answers(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise EvalError(f"{file} is no JSON that can be read ({error})") from error
    if not isinstance(found, dict):
        raise EvalError(f"{file} does not map a question's id to the index of its answer")
    return found


def _item(folder: Path, row: Row, known: dict[str, Any]) -> Item:
    uid = row.text("q_uid")
    options = tuple(row.text(f"option {index}") for index in _OPTIONS)
    right: str | None = None
    if uid in known:
        if known[uid] not in _OPTIONS:
            raise RowError(f"subset_answers.json has {known[uid]!r} for {uid}; it has 0 to 4")
        right = "ABCDE"[known[uid]]
    asked = [f"{letter}. {option}" for letter, option in zip("ABCDE", options, strict=True)]
    closing = "Answer with the option's letter from the given choices directly."
    return Item(
        id=uid,
        task="hidden" if right is None else "subset",
        video=video((folder / "videos", folder), uid),
        prompt="\n".join((row.text("question"), *asked, closing)),
        answer=right,
        options=options,
    )
