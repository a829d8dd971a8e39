"""RVS-Ego and RVS-Movie (VStream-QA): free answers at moments of streams of half an hour and more.

Sources: files and fields from huggingface.co/datasets/Becomebright/RVS, ReKV's form of Flash-
VStream's VStream-QA with the videos cut and all times in seconds, which ReKV, InfiniPot-V and
HERMES report; the question itself is the prompt, and an answer has up to 256 tokens (ReKV,
rekv_stream_vqa.py, which watches two seconds for a frame). Answers are graded by gpt-3.5-turbo, see
`grader`: without one there are predictions, in the form that eval_activitynet_qa.py of
github.com/IVGSZ/Flash-VStream reads, and no score.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Final

from evaluations.benchmark import Benchmark, Record
from evaluations.item import Item, Skip, Verdict
from evaluations.rows import Row, RowError, each, read_json, required, video

_FILES: Final = {"ego": "ego/ego4d_oe.json", "movie": "movie/movienet_oe.json"}


class RVS(Benchmark):
    name = "rvs"
    title = "RVS-Ego and RVS-Movie"
    source = "huggingface.co/datasets/Becomebright/RVS; CC BY-NC 4.0"
    expects = tuple(
        f"{file} and {part}/videos/VIDEO_ID.mp4 (--tasks {part})" for part, file in _FILES.items()
    )
    remarks = (
        "Answers are graded by a language model: --judge URL, of any endpoint in OpenAI's form. "
        "Without it, RESULTS.pred.json is what the authors' script grades."
    )
    max_tokens = 256
    fps = 0.5
    judged = True

    def read(self, folder: Path, subtitles: bool) -> Iterator[Item | Skip]:
        required(folder, *_FILES.values())
        there = {part: folder / file for part, file in _FILES.items() if (folder / file).is_file()}
        return chain.from_iterable(
            each(file, read_json(file), _maker(folder, part)) for part, file in there.items()
        )

    def judge(self, item: Item, responses: Sequence[str]) -> Verdict:
        return Verdict(" ".join(responses[-1].split()), None)

    def predictions(self, records: Sequence[Record]) -> tuple[str, str] | None:
        lines = (
            {
                "id": record["id"],
                "question": record["fields"]["question"],
                "answer": record["answer"],
                "pred": record["chosen"],
                "answer_type": record["fields"]["answer_type"],
            }
            for record in records
        )
        return ".pred.json", "".join(json.dumps(line) + "\n" for line in lines)


def _maker(folder: Path, part: str) -> Callable[[Row], Iterable[Item]]:
    def make(row: Row) -> Iterable[Item]:
        name = row.text("video_id")
        path = str(row.get("video_path") or name).replace("\\", "/").split("/")[-1]
        file = video((folder / part / "videos", folder / part), name, Path(path).stem)
        return [_item(part, name, file, asked) for asked in row.rows("conversations")]

    return make


def _item(part: str, name: str, file: Path, asked: Row) -> Item:
    time = asked.number("end_time")
    if time < asked.number("start_time"):
        raise RowError(f"the `end_time` of question {asked.index + 1} comes before its start")
    question = asked.text("question")
    return Item(
        id=f"{part}/{name}/{asked.index}",
        task=part,
        video=file,
        prompt=question,
        answer=asked.text("answer"),
        times=(time,),
        fields={"question": question, "answer_type": str(asked.get("answer_type") or part)},
    )
