"""What a benchmark is: where its questions are, how it words them and how it scores answers."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from evaluations.item import Item, Skip, Verdict

Record = Mapping[str, Any]
"""An answered question as the results file has it, see `results`."""


class Benchmark(ABC):
    """One benchmark. What its files hold, its prompts and its scoring are facts of the sources
    that each module names."""

    name: ClassVar[str]
    title: ClassVar[str]
    source: ClassVar[str]
    """Where the data is had from, and its licence."""
    expects: ClassVar[tuple[str, ...]]
    """What the folder has, a file a line."""
    remarks: ClassVar[str] = ""
    max_tokens: ClassVar[int] = 16
    """Of an answer."""
    fps: ClassVar[float] = 1.0
    """Frames a second, where nothing else is said."""
    tasks: ClassVar[tuple[str, ...]] = ()
    """What is asked where --tasks does not say; () is everything."""
    average: ClassVar[str] = "of all questions"
    """Of what the benchmark's own overall figure is the mean."""
    unnamed: ClassVar[str] = "counted as wrong"
    """What its own scoring makes of an answer that names no option."""
    leaves_out: ClassVar[bool] = False
    """Whether that is to leave it out."""
    has_subtitles: ClassVar[bool] = False
    judged: ClassVar[bool] = False
    """Whether only a language model can say which answers are right."""

    @abstractmethod
    def read(self, folder: Path, subtitles: bool) -> Iterator[Item | Skip]:
        """The questions in the order of the files, and rows that cannot be used.

        Raises EvalError where a file is missing or is not what it has to be.
        """

    @abstractmethod
    def judge(self, item: Item, responses: Sequence[str]) -> Verdict:
        """What the answers say and whether that is right."""

    def overall(self, scores: Mapping[str, Sequence[float]]) -> float:
        """The benchmark's own figure, 0 to 1, from the scores of each task."""
        every = [score for each in scores.values() for score in each]
        return sum(every) / len(every)

    def predictions(self, records: Sequence[Record]) -> tuple[str, str] | None:
        """The answers in the form that the benchmark's own server or judge takes: the ending of a
        file's name, and what the file holds."""
        return None


class MeanOfTasks(Benchmark):
    """Every task counts the same, however many questions it has."""

    average = "of the tasks"

    def overall(self, scores: Mapping[str, Sequence[float]]) -> float:
        means = [sum(each) / len(each) for each in scores.values()]
        return sum(means) / len(means)
