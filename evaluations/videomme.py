"""Video-MME: 2,700 four-way questions about 900 videos of 11 seconds to an hour.

Sources: fields from the cards of lmms-lab/Video-MME (Parquet) and of the authors' JSON
(github.com/BradyFU/Video-MME, README.md); prompt from that README, section "Evaluation Pipeline";
scoring from its evaluation/eval_your_results.py, which counts only answers that name an option.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from evaluations.benchmark import Benchmark
from evaluations.item import Item, Skip, Verdict
from evaluations.letters import first_letter, lettered
from evaluations.rows import Row, RowError, each, read_json, read_parquet, required, video
from evaluations.subtitles import Cue, SubtitleError, read_srt

_HEADING: Final = "This video's subtitles are listed below:"
_ASK: Final = (
    "Select the best answer to the following multiple-choice question based on the video. Respond "
    "with only the letter (A, B, C, or D) of the correct option."
)


class VideoMME(Benchmark):
    name = "videomme"
    title = "Video-MME"
    source = "huggingface.co/datasets/lmms-lab/Video-MME; academic research only"
    expects = (
        "videomme/test-*.parquet (takes lookback[parquet]), or videomme.json: the same rows, or "
        "the authors' form with a list `questions` in each video",
        "data/VIDEOID.mp4, or in videos/",
        "subtitle/VIDEOID.srt, for --subtitles",
    )
    remarks = "Tasks are the 12 task types; short, medium and long are counted as well."
    unnamed = "left out, as by its own script"
    leaves_out = True
    has_subtitles = True

    def read(self, folder: Path, subtitles: bool) -> Iterator[Item | Skip]:
        file = required(
            folder, "videomme.json", "videomme.jsonl", "videomme/*.parquet", "test-*.parquet"
        )
        raws: list[Any]
        if file.suffix == ".parquet":
            raws = read_parquet(file, "write its rows to videomme.json")
        else:
            raws = read_json(file)

        def make(row: Row) -> Iterable[Item]:
            if row.get("questions") is None:
                return [_item(folder, row, row, subtitles)]
            return [_item(folder, row, asked, subtitles) for asked in row.rows("questions")]

        return each(file, raws, make)

    def judge(self, item: Item, responses: Sequence[str]) -> Verdict:
        chosen = first_letter(responses[-1], item.letters)
        return Verdict(chosen, float(chosen == item.answer))


def _item(folder: Path, about: Row, asked: Row, subtitles: bool) -> Item:
    options = lettered(asked.texts("options", "choices"))
    stem = about.text("videoID", "video_id")
    folders = (folder / "data", folder / "videos", folder / "video", folder)
    return Item(
        id=asked.text("question_id"),
        task=asked.text("task_type"),
        video=video(folders, stem, about.text("video_id", "videoID")),
        prompt="\n".join((_ASK, asked.text("question"), *options, "The best answer is:")),
        answer=asked.letter("answer", options),
        options=options,
        groups={
            "duration": about.text("duration", "duration_category"),
            "domain": about.text("domain", "video_category"),
        },
        heading=_HEADING,
        subtitles=_cues(folder, stem) if subtitles else (),
    )


def _cues(folder: Path, stem: str) -> tuple[Cue, ...]:
    """None for the 156 videos that have none."""
    file = folder / "subtitle" / f"{Path(stem).name}.srt"
    try:
        return read_srt(file) if file.is_file() else ()
    except SubtitleError as error:
        raise RowError(str(error)) from error
