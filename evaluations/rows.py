"""Annotation files as rows whose fields are checked when they are read."""

import ast
import csv
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from evaluations.errors import EvalError
from evaluations.item import Item, Skip

MALFORMED: Final = "malformed row"
_SUFFIXES: Final = (".mp4", ".MP4", ".mkv", ".webm", ".avi", ".mov")


class RowError(ValueError):
    """A row that cannot be asked; the message says why."""


class Row:
    """One record of an annotation file. Its getters raise RowError for what is not there."""

    def __init__(self, raw: Any, index: int = 0) -> None:
        if not isinstance(raw, dict):
            raise RowError(f"it is no record with fields, but {raw!r:.60}")
        self.raw: dict[str, Any] = raw
        self.index = index

    def get(self, name: str) -> Any:
        return self.raw.get(name)

    def text(self, name: str, *other: str) -> str:
        """The first of these fields that is there, as text that is not empty; a number counts."""
        for each in (name, *other):
            value = self.raw.get(each)
            if isinstance(value, int | float) and not isinstance(value, bool):
                return str(value)
            if isinstance(value, str) and value.strip():
                return value.strip()
        raise RowError(f"it has no `{name}`")

    def texts(self, name: str, *other: str) -> tuple[str, ...]:
        """A list of at least two texts; written out as Python's list in a CSV file, too."""
        for each in (name, *other):
            value = self.raw.get(each)
            if isinstance(value, str) and value.lstrip().startswith("["):
                try:
                    value = ast.literal_eval(value.strip())
                except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
                    raise RowError(f"its `{each}` is no list: {value:.60}") from error
            if value is not None and not isinstance(value, str):
                try:
                    found = tuple(str(text).strip() for text in value)
                except TypeError as error:
                    raise RowError(f"its `{each}` is no list") from error
                if len(found) < 2 or not all(found):
                    raise RowError(f"its `{each}` has an empty text, or fewer than two")
                return found
        raise RowError(f"it has no list `{name}`")

    def rows(self, name: str) -> list["Row"]:
        """A list of records, at least one."""
        value = self.raw.get(name)
        if not isinstance(value, list) or not value:
            raise RowError(f"it has no list `{name}`")
        return [Row(each, index) for index, each in enumerate(value)]

    def number(self, name: str) -> float:
        """A finite number, 0 or more."""
        value = self.raw.get(name)
        try:
            number = float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError) as error:
            raise RowError(f"its `{name}` is no number: {value!r:.60}") from error
        if not math.isfinite(number) or number < 0:
            raise RowError(f"its `{name}` is {number:g}: it has to be 0 or more")
        return number

    def choice(self, name: str, options: Sequence[str]) -> str:
        """The letter of the option that this field, a number from 0, names."""
        value = self.number(name)
        if value != int(value) or value >= len(options):
            raise RowError(f"its `{name}` is {value:g} and its options are {len(options)}")
        return chr(ord("A") + int(value))

    def letter(self, name: str, options: Sequence[str]) -> str:
        """This field, the letter of one of the options."""
        value = self.text(name).rstrip(".").upper()
        letters = [chr(ord("A") + i) for i in range(len(options))]
        if value not in letters:
            raise RowError(f"its `{name}` is {value!r} and its options are {''.join(letters)}")
        return value

    def clock(self, name: str) -> float:
        """Seconds, from h:mm:ss, mm:ss or a plain number."""
        value = self.text(name)
        if not re.fullmatch(r"\d+(:\d{1,2}){0,2}(\.\d+)?", value):
            raise RowError(f"its `{name}` is no time: {value!r:.60}")
        seconds = 0.0
        for part in value.split(":"):
            seconds = 60 * seconds + float(part)
        return seconds


def each(
    file: Path, raws: Iterable[Any], make: Callable[[Row], Iterable[Item]]
) -> Iterator[Item | Skip]:
    """What `make` makes of each row; a row that it cannot use becomes a Skip that names it."""
    for index, raw in enumerate(raws):
        try:
            yield from list(make(Row(raw, index)))
        except RowError as error:
            named = f"{file.name} row {index + 1}"
            yield Skip(named, MALFORMED, f"{error}")


def required(folder: Path, *names: str) -> Path:
    """The first of these files, as patterns, that the folder has. Raises EvalError."""
    if not folder.is_dir():
        raise EvalError(f"there is no folder {folder}: --data is where the benchmark's files are")
    for name in names:
        if found := sorted(folder.glob(name)):
            return found[0]
    listed = ", ".join(names)
    raise EvalError(f"{folder} has no {listed}: `lookback eval --list` says what it has to have")


def read_json(file: Path) -> list[Any]:
    """A list from a JSON file, or from one with a record a line. Raises EvalError."""
    try:
        text = file.read_text("utf-8-sig")
        found = (
            [json.loads(line) for line in text.splitlines() if line.strip()]
            if file.suffix == ".jsonl"
            else json.loads(text)
        )
    except (OSError, ValueError) as error:
        raise EvalError(f"{file} is no JSON that can be read ({error})") from error
    if not isinstance(found, list):
        raise EvalError(f"{file} holds no list of questions")
    return found


def read_csv(file: Path) -> list[dict[str, Any]]:
    """The records of a CSV file with a line of names. Raises EvalError."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            return list(csv.DictReader(lines))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EvalError(f"{file} is no CSV that can be read ({error})") from error


def read_parquet(file: Path, instead: str) -> list[Any]:
    """The records of a Parquet file; pyarrow, 55 MB, is no part of a plain installation.

    Raises EvalError, which without pyarrow names what to have `instead`.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise EvalError(
            f"{file.name} takes pyarrow to read: pip install 'lookback[parquet]', or {instead}"
        ) from error
    try:
        rows: list[Any] = pyarrow.parquet.read_table(file).to_pylist()
    except (OSError, pyarrow.ArrowException) as error:
        raise EvalError(f"{file} is no Parquet that can be read ({error})") from error
    return rows


def video(folders: Iterable[Path], *stems: str) -> Path:
    """The first video of one of these names that is there, else where it was looked for first.

    A stem may have its suffix. Names come from files of others: none leads out of its folder.
    """
    wanted = [
        (folder, stem)
        for folder in folders
        for stem in stems
        if not Path(stem).is_absolute() and ".." not in Path(stem).parts
    ]
    if not wanted:
        raise RowError(f"its video is {stems[0]!r}, which is no name inside the folder")
    try:
        for folder, stem in wanted:
            for suffix in ("", *_SUFFIXES):
                if (path := folder / f"{stem}{suffix}").is_file():
                    return path
    except OSError as error:
        raise RowError(f"its video cannot be looked for ({error.strerror})") from error
    folder, stem = wanted[0]
    return folder / (stem if Path(stem).suffix in _SUFFIXES else f"{stem}.mp4")
