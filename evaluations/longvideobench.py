"""LongVideoBench: questions that refer to a moment of a video of eight seconds to an hour.

Sources: files, fields and prompt from longvideobench_dataset.py of
github.com/longvideobench/LongVideoBench; scoring from lmms-eval's longvideobench/utils.py, which
says that it is the authors': an answer that names no option becomes a random one (here: random by
the question's id, the same each time). The authors write subtitles between the frames; a memory of
frames has no place for them, so that they stand before the question.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from evaluations.benchmark import Benchmark, Record
from evaluations.item import Item, Skip, Verdict
from evaluations.letters import first_letter, lettered
from evaluations.rows import Row, RowError, each, read_json, required, video
from evaluations.subtitles import Cue, SubtitleError
from evaluations.subtitles import read_json as read_cues


class LongVideoBench(Benchmark):
    name = "longvideobench"
    title = "LongVideoBench (validation)"
    source = "huggingface.co/datasets/longvideobench/LongVideoBench (gated); CC BY-NC-SA 4.0"
    expects = (
        "lvb_val.json, or lvb_test_wo_gt.json for predictions without scores",
        "videos/VIDEO_PATH",
        "subtitles/SUBTITLE_PATH, for --subtitles",
    )
    remarks = "Tasks are the 17 question categories; the four duration groups are counted as well."
    unnamed = "taken for a random option, as by its own rule"
    has_subtitles = True

    def read(self, folder: Path, subtitles: bool) -> Iterator[Item | Skip]:
        file = required(folder, "lvb_val.json", "lvb_test_wo_gt.json")

        def make(row: Row) -> Iterable[Item]:
            return [_item(folder, row, subtitles)]

        return each(file, read_json(file), make)

    def judge(self, item: Item, responses: Sequence[str]) -> Verdict:
        chosen = first_letter(responses[-1], item.letters)
        if item.answer is None:
            return Verdict(chosen, None)
        return Verdict(chosen, float((chosen or _any(item)) == item.answer))

    def predictions(self, records: Sequence[Record]) -> tuple[str, str] | None:
        unknown = {each["id"]: each["responses"][-1] for each in records if each["answer"] is None}
        return (".submission.json", json.dumps(unknown, indent=1) + "\n") if unknown else None


def _any(item: Item) -> str:
    drawn = hashlib.sha256(item.id.encode()).digest()
    return item.letters[int.from_bytes(drawn[:8], "big") % len(item.letters)]


def _item(folder: Path, row: Row, subtitles: bool) -> Item:
    options = lettered(row.texts("candidates"))
    closing = "Answer with the option's letter from the given choices directly."
    return Item(
        id=row.text("id"),
        task=row.text("question_category"),
        video=video((folder / "videos",), row.text("video_path")),
        prompt="\n".join((f"Question: {row.text('question')}", *options, closing)),
        answer=row.choice("correct_choice", options) if "correct_choice" in row.raw else None,
        options=options,
        groups={"duration": f"{row.text('duration_group')} s"},
        subtitles=_cues(folder, row) if subtitles else (),
    )


def _cues(folder: Path, row: Row) -> tuple[Cue, ...]:
    name = row.text("subtitle_path")
    file = folder / "subtitles" / Path(name).name
    if not file.is_file():
        raise RowError(f"there are no subtitles {file}")
    start = row.number("starting_timestamp_for_subtitles")
    try:
        return read_cues(file, start, row.number("duration"))
    except SubtitleError as error:
        raise RowError(str(error)) from error
