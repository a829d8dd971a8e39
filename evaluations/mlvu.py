"""MLVU, the dev set's seven multiple-choice tasks: videos of three minutes to two hours.

Sources: files and fields from huggingface.co/datasets/MLVU/MVLU and
github.com/JUNJIE99/MLVU; prompt and the rule for answers from that repository's choice_bench.py
and evaluation/test_bench.py, where "(" is already written for the model: here it ends the
question, as in lmms-eval, and where its rule finds no letter lmms-eval's `first_letter` decides.
The overall figure, M-Avg, is the mean of the tasks (README.md). The two tasks with free answers
(8_sub_scene, 9_summary) are graded by GPT-4 and not asked.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Final

from evaluations.benchmark import MeanOfTasks
from evaluations.item import Item, Skip, Verdict
from evaluations.letters import before_bracket, first_letter
from evaluations.rows import Row, RowError, each, read_json, required, video

_FILES: Final = (
    "1_plotQA",
    "2_needle",
    "3_ego",
    "4_count",
    "5_order",
    "6_anomaly_reco",
    "7_topic_reasoning",
)
_LOOK: Final = (
    "Carefully watch this video and pay attention to every detail. Based on your observations, "
    "select the best option that accurately addresses the question."
)


class MLVU(MeanOfTasks):
    name = "mlvu"
    title = "MLVU (dev, multiple choice)"
    source = "huggingface.co/datasets/MLVU/MVLU; CC BY-NC-SA 4.0"
    expects = tuple(f"json/{name}.json and video/{name}/*.mp4" for name in _FILES)
    remarks = "Any of the seven will do. M-Avg is the mean of the tasks that were asked."

    def read(self, folder: Path, subtitles: bool) -> Iterator[Item | Skip]:
        required(folder, *(f"json/{name}.json" for name in _FILES))
        parts = []
        for name in _FILES:
            file = folder / "json" / f"{name}.json"
            if file.is_file():
                parts.append(self._part(folder, file))
        return chain.from_iterable(parts)

    def _part(self, folder: Path, file: Path) -> Iterator[Item | Skip]:
        def make(row: Row) -> Iterable[Item]:
            return [_item(folder, file.stem, row)]

        return each(file, read_json(file), make)

    def judge(self, item: Item, responses: Sequence[str]) -> Verdict:
        said = responses[-1]
        chosen = before_bracket(said, item.letters) or first_letter(said, item.letters)
        return Verdict(chosen, float(chosen == item.answer))


def _item(folder: Path, part: str, row: Row) -> Item:
    options, right = row.texts("candidates"), row.text("answer")
    if options.count(right) != 1:
        raise RowError(f"its `answer` {right!r} is not one of its candidates")
    listed = [f"({chr(ord('A') + i)}) {option}" for i, option in enumerate(options)]
    asked = (
        _LOOK,
        f"Question: {row.text('question')}",
        "Options:",
        *listed,
        "Only give the best option.",
        "Best Option: (",
    )
    return Item(
        id=f"{part}/{row.index}",
        task=row.text("question_type"),
        video=video((folder / "video" / part, folder / "video"), row.text("video")),
        prompt="\n".join(asked),
        answer=chr(ord("A") + options.index(right)),
        options=options,
    )
