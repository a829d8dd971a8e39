"""The results file: one JSON object a line, the first of which says what they are results of.

An answer is on disk before the next question is asked; nothing in it depends on when or in how many
runs it was made.
"""

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TextIO

from evaluations.errors import EvalError

FORMAT: Final = "lookback eval 1"
_FLAGS: Final[Mapping[str, str]] = {
    "model": "--model",
    "revision": "--revision",
    "dtype": "--dtype",
    "quantization": "--quantization",
    "policy": "--policy",
    "budget_tokens": "--budget",
    "fps": "--fps",
}


class Results:
    """The file at `path` of a run that is described by `about`; made where there is none.

    Raises EvalError where it is of another run, damaged other than at its end, or in use.
    """

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        self.path = path
        self.records: dict[str, dict[str, Any]] = {}
        self.grades: dict[str, dict[str, Any]] = {}
        self.mended = False
        """Whether its last line was cut off and has been taken away."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: TextIO = path.open("a+", encoding="utf-8")
        except OSError as error:
            raise EvalError(f"{path} cannot be written ({error}): take another --out") from error
        try:
            self._open(about)
        except BaseException:
            self._file.close()
            raise

    def _open(self, about: Mapping[str, Any]) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise EvalError(f"{self.path} is being written by another run") from error
        except OSError as error:
            raise EvalError(f"{self.path} cannot be locked ({error}): another --out") from error
        header = {"format": FORMAT, **about}
        self._file.seek(0)
        lines = self._whole_lines()
        if not lines:
            self._write(header)
            return
        self._check(self._read(lines[0], 1), header)
        for number, line in enumerate(lines[1:], 2):
            record = self._read(line, number)
            if "graded" in record:
                self.grades[record["graded"]] = record
            elif "id" in record:
                self.records[record["id"]] = record
            else:
                raise EvalError(f"line {number} of {self.path} is no answer: take another --out")

    def _whole_lines(self) -> list[str]:
        """A line that a crash cut off is taken away: its question is asked again."""
        text = self._file.buffer.read().decode("utf-8", errors="replace")
        whole, _, rest = text.rpartition("\n")
        if rest:
            self.mended = True
            self._file.truncate(len((whole + "\n").encode()) if whole else 0)
            self._file.seek(0, os.SEEK_END)
        return whole.split("\n") if whole else []

    def _read(self, line: str, number: int) -> dict[str, Any]:
        try:
            found = json.loads(line)
        except ValueError as error:
            raise EvalError(
                f"line {number} of {self.path} is no JSON: it is no results file, or damaged; take "
                "another --out"
            ) from error
        if not isinstance(found, dict):
            raise EvalError(f"line {number} of {self.path} is no record: take another --out")
        return found

    def _check(self, there: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        if there.get("format") != FORMAT:
            raise EvalError(f"{self.path} is no results file of `lookback eval`: another --out")
        for name, value in now.items():
            if there.get(name) != value:
                old = there.get(name)
                flag = _FLAGS.get(name)
                back = f", or {flag} {old} to go on with it" if flag and old is not None else ""
                raise EvalError(
                    f"{self.path} has results with {name} {old!r} and this run has {value!r}: "
                    f"they are not mixed; take another --out{back}"
                )

    def add(self, record: dict[str, Any]) -> None:
        """Write an answer."""
        self._write(record)
        self.records[record["id"]] = record

    def grade(self, grade: dict[str, Any]) -> None:
        """Write what the judge says of the answer `graded`."""
        self._write(grade)
        self.grades[grade["graded"]] = grade

    def _write(self, record: Mapping[str, Any]) -> None:
        try:
            self._file.write(json.dumps(record, ensure_ascii=False) + "\n")
            self._file.flush()
        except OSError as error:
            raise EvalError(f"{self.path} cannot be written ({error})") from error

    def beside(self, ending: str) -> Path:
        """A file of the same name with another ending."""
        return self.path.with_name(self.path.stem + ending)

    def __enter__(self) -> "Results":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
