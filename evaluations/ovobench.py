"""OVO-Bench: questions at a moment of a stream, about its past, its present and what is to come.

Sources: fields from data/ovo_bench_new.json, prompts from constant.py and scoring from
utils/OVOBenchScore.py of github.com/JoeLeelyf/OVO-Bench. Its scoring asks whether the right letter
stands anywhere in the answer, so that a model that writes sentences gains; for counts it joins all
digits. The authors cut each video at the question's time or at its end, whichever comes first.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from evaluations.benchmark import MeanOfTasks
from evaluations.item import Item, Skip, Verdict
from evaluations.letters import first_letter
from evaluations.rows import Row, RowError, each, read_json, required, video

_MODES: Final[Mapping[str, tuple[str, ...]]] = {
    "backward": ("EPM", "ASI", "HLD"),
    "realtime": ("OCR", "ACR", "ATR", "STU", "FPD", "OJR"),
    "forward": ("REC", "SSR", "CRR"),
}
_MODE: Final = {task: mode for mode, tasks in _MODES.items() for task in tasks}

_CHOOSE: Final = """\
Question: {}
Options:
{}

Respond only with the letter corresponding to your chosen option (e.g., A, B, C).
Do not include any additional text or explanation in your response."""
_COUNT: Final = """\
You're watching a video in which people may perform a certain type of action repetively.
The person performing this kind of action are referred to as 'they' in the following statement.
You're task is to count how many times have different people in the video perform this kind of \
action in total.
One complete motion counts as one.
Now, answer the following question: How many times did they {}?
Provide your answer as a single number (e.g., 0, 1, 2, 3…) indicating the total count.
Do not include any additional text or explanation in your response."""
_STEP: Final = """\
You're watching a tutorial video which contain a sequential of steps.
The following is one step from the whole procedures:
{}
Your task is to determine if the man or woman in the video is currently performing this step.
Answer only with “Yes” or “No”.
Do not include any additional text or explanation in your response."""
_ENOUGH: Final = """\
You're responsible of answering questions based on the video content.
The following question are relevant to the latest frames, i.e. the end of the video.
{}
Decide whether existing visual content, especially latest frames, i.e. frames that near the end of \
the video, provide enough information for answering the question.
Answer only with “Yes” or “No”.
Do not include any additional text or explanation in your response."""


class OVOBench(MeanOfTasks):
    name = "ovobench"
    title = "OVO-Bench"
    source = (
        "annotations from github.com/JoeLeelyf/OVO-Bench, videos from "
        "huggingface.co/datasets/JoeLeelyf/OVO-Bench; CC BY-NC-SA 4.0"
    )
    expects = (
        "ovo_bench_new.json",
        "src_videos/VIDEO, or chunked_videos/ID.mp4 and ID_INDEX.mp4",
    )
    remarks = "Tasks: " + "; ".join(f"{mode} {', '.join(t)}" for mode, t in _MODES.items()) + "."

    def read(self, folder: Path, subtitles: bool) -> Iterator[Item | Skip]:
        file = required(folder, "ovo_bench_new.json", "ovo_bench.json")

        def make(row: Row) -> Iterable[Item]:
            return _items(folder, row)

        return each(file, read_json(file), make)

    def judge(self, item: Item, responses: Sequence[str]) -> Verdict:
        said, right = responses[-1], item.answer or ""
        if item.task == "REC":
            digits = "".join(re.findall(r"\d+", said))
            return Verdict(digits, float(digits == right))
        if item.task in ("SSR", "CRR"):
            named = next((word for word in ("Yes", "No") if word in said), "")
            named = named or {"Y": "Yes", "N": "No"}.get(said.strip(), "")
            return Verdict(named, float(right in said or said.strip() == right[0]))
        return Verdict(first_letter(said, item.letters), float(right in said))


def _items(folder: Path, row: Row) -> list[Item]:
    task, name = row.text("task"), row.text("id")
    if task not in _MODE:
        raise RowError(f"its `task` is {task!r}; known: {', '.join(_MODE)}")
    if _MODE[task] == "forward":
        return [_forward(folder, row, test, task, f"{name}_{test.index}") for test in _tests(row)]
    options = row.texts("options")
    listed = "; ".join(f"{chr(ord('A') + i)}. {text}" for i, text in enumerate(options)) + ";"
    file, times = _video(folder, row, name, row.number("realtime"))
    return [
        Item(
            id=name,
            task=task,
            video=file,
            prompt=_CHOOSE.format(row.text("question"), listed),
            answer=row.choice("gt", options),
            options=options,
            times=times,
            groups={"mode": _MODE[task]},
        )
    ]


def _tests(row: Row) -> list[Row]:
    return row.rows("test_info")


def _forward(folder: Path, row: Row, test: Row, task: str, name: str) -> Item:
    if task == "REC":
        prompt, right = _COUNT.format(row.text("activity")), f"{test.number('count'):.0f}"
    else:
        kind = test.number("type")
        if kind not in (0, 1):
            raise RowError(f"the `type` of test {test.index} is {kind:g}; it is 0 or 1")
        right = "Yes" if kind else "No"
        prompt = (
            _STEP.format(test.text("step"))
            if task == "SSR"
            else _ENOUGH.format(row.text("question"))
        )
    file, times = _video(folder, row, name, test.number("realtime"))
    return Item(
        id=name,
        task=task,
        video=file,
        prompt=prompt,
        answer=right,
        times=times,
        groups={"mode": _MODE[task]},
    )


def _video(folder: Path, row: Row, name: str, time: float) -> tuple[Path, tuple[float, ...]]:
    """The source video and when to ask; else the piece that ends at that time, asked at its end."""
    source = video((folder / "src_videos", folder / "videos", folder), row.text("video"))
    piece = folder / "chunked_videos" / f"{Path(name).name}.mp4"
    return (piece, ()) if piece.is_file() and not source.is_file() else (source, (time,))
