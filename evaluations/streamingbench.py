"""StreamingBench: five questions at five moments of each of 900 videos.

Sources: files and fields from huggingface.co/datasets/mjuicem/StreamingBench, prompts from
StreamingBench.py, StreamingBenchSQA.py and StreamingBenchProactive.py and scoring from count.py of
github.com/THUNLP-MT/StreamingBench (in src/benchmark and src/data): the answer's first character is
the letter; a sequential question is told the right answers to those before it; a proactive one is
asked again each second, and is right if the first "yes" comes within two seconds. The authors show
60 seconds before the question ("main") or everything: a session has seen everything, and for
proactive questions also what came before they were asked. It hears nothing.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Final

from evaluations.benchmark import Benchmark
from evaluations.item import Item, Skip, Verdict
from evaluations.letters import lettered
from evaluations.rows import Row, RowError, each, read_csv, required, video

_FILES: Final = {
    "real": "Real_Time_Visual_Understanding.csv",
    "omni": "Omni_Source_Understanding.csv",
    "contextual": "Contextual_Understanding.csv",
    "sqa": "Sequential_Question_Answering.csv",
    "proactive": "Proactive_Output.csv",
}
_TOLERANCE: Final = 2.0  # seconds
_PATIENCE: Final = 4  # seconds

_CHOOSE: Final = """\
You are an advanced video question-answering AI assistant. You have been provided with some frames \
from the video and a multiple-choice question related to the video. Your task is to carefully \
analyze the video and provide the best answer to question, choosing from the four options \
provided. Respond with only the letter (A, B, C, or D) of the correct option.

Question: {question}

Options:
{options}

The best option is:"""
_SEQUENTIAL: Final = """\
You are an advanced video question-answering AI assistant. You have been provided with a video and \
a multiple-choice question related to the video. Your task is to carefully analyze the video and \
the provided context to answer the question, choosing from the four options provided. Respond with \
only the letter (A, B, C, or D) of the correct option.

{context}

Here is the question. Answer it and don't confuse it with the previous conversation.
Question: {question}

Options:
{options}

The best option is:"""
_CONTEXT: Final = (
    "Here are the contextual information related to the video. Please answer the questions based "
    "on the contextual information: "
)
_BEFORE: Final = (
    "At timestamp {time}, the following question and answer occurred: Question: {question}; "
    "Options: {options}; Answer: {answer}; "
)
_PROACTIVE: Final = """\
You are an advanced image question-answering AI assistant. You have been provided with images and \
a question related to the images. Your task is to carefully analyze the images and provide the \
answer to the question. You need to carefully confirm whether the images content meet the \
conditions of the question, and then output the correct content.

Question: {question} Is it the right time to output "{output}"? You can only answer yes or no.

The answer is:
"""


class StreamingBench(Benchmark):
    name = "streamingbench"
    title = "StreamingBench"
    source = "huggingface.co/datasets/mjuicem/StreamingBench"
    expects = (
        *(f"{file} (--tasks {part})" for part, file in _FILES.items()),
        "the unpacked archives, e.g. Real-Time Visual Understanding/sample_1/video.mp4 or "
        "data/real/sample_1/video.mp4",
    )
    remarks = (
        "The real-time part is asked by default: the figures in papers are of it. Many questions "
        "of the part `omni` are about sound, which is not heard."
    )
    tasks = ("real",)

    def read(self, folder: Path, subtitles: bool) -> Iterator[Item | Skip]:
        required(folder, *_FILES.values())
        there = {part: folder / file for part, file in _FILES.items() if (folder / file).is_file()}
        return chain.from_iterable(
            each(file, read_csv(file), _maker(folder, part, alone=len(there) == 1))
            for part, file in there.items()
        )

    def judge(self, item: Item, responses: Sequence[str]) -> Verdict:
        said = responses[-1].strip()
        if item.until:
            last = item.times[len(responses) - 1]
            spoke = f"{last:g}" if item.until in said.lower() else ""
            return Verdict(spoke, float(abs(last - float(item.answer or 0)) <= _TOLERANCE))
        chosen = said[:1] if said[:1] in tuple(item.letters) else ""
        return Verdict(chosen, float(chosen == item.answer))


def _maker(folder: Path, part: str, *, alone: bool) -> Callable[[Row], Iterable[Item]]:
    past: dict[str, str] = {}  # of sequential questions, by video

    def make(row: Row) -> Iterable[Item]:
        name, task = row.text("question_id"), row.text("task_type")
        found = re.fullmatch(r"(.+)_sample_(\d+)_(\d+)", name)
        if found is None:
            raise RowError(f"its `question_id` {name!r} names no sample")
        file = _video(folder, part, found[1], task, found[2], alone)
        question, time = row.text("question"), row.clock("time_stamp")
        if part == "proactive":
            return [_proactive(row, name, task, file, question, time)]
        options = lettered(row.texts("options"))
        right = row.letter("answer", options)
        listed = "\n".join(options)
        if part == "sqa":
            told = past.get(found[2], "")
            prompt = _SEQUENTIAL.format(context=told, question=question, options=listed)
            past[found[2]] = (told or _CONTEXT) + _BEFORE.format(
                time=row.text("time_stamp"),
                question=question,
                options=", ".join(options),
                answer=right,
            )
        else:
            prompt = _CHOOSE.format(question=question, options=listed)
        groups = {"part": part}
        return [Item(name, task, file, prompt, right, options, (time,), groups=groups)]

    return make


def _proactive(row: Row, name: str, task: str, file: Path, question: str, time: float) -> Item:
    due = row.clock("ground_truth_time_stamp")
    polls = tuple(time + 1 + i for i in range(int(due + _PATIENCE - time)))
    if not polls:
        raise RowError("its `ground_truth_time_stamp` comes before its `time_stamp`")
    prompt = _PROACTIVE.format(question=question, output=row.text("ground_truth_output"))
    groups = {"part": "proactive"}
    return Item(name, task, file, prompt, f"{due:g}", (), polls, "yes", groups=groups)


def _video(folder: Path, part: str, category: str, task: str, sample: str, alone: bool) -> Path:
    """Samples of different parts and tasks have the same numbers: a folder has to be of one of
    them, unless there is no other (`alone`)."""
    names = [category, task, category.replace(" ", "_"), task.replace(" ", "_"), part]
    if any("/" in name or ".." in name for name in names):
        raise RowError("its `question_id` or `task_type` is no name inside the folder")
    bases = (folder, folder / "data", folder / "videos")
    folders = [base / name for name in names for base in bases] + (list(bases) if alone else [])
    marked = [f"sample_{sample}_{name}" for name in (task.replace(" ", "_"), part)]
    found = video(folders, f"sample_{sample}/video", f"sample_{sample}", *marked)
    flat = video(bases, *marked)
    return flat if flat.is_file() and not found.is_file() else found
