"""Subtitle files as cues with times: SubRip, and the two forms of LongVideoBench's JSON."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

_TIME: Final = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:[.,]\d+)?)")
_TAG: Final = re.compile(r"<[^>]*>|\{\\[^}]*\}")


class SubtitleError(ValueError):
    """A file of subtitles that cannot be read; the message says why."""


@dataclass(frozen=True)
class Cue:
    """start: seconds after the video's."""

    start: float
    text: str


@lru_cache(maxsize=8)
def read_srt(path: Path) -> tuple[Cue, ...]:
    """The cues of a SubRip file, without markup. Blocks without a time are left out; a file
    without any cue raises SubtitleError."""
    cues = []
    for block in re.split(r"\n\s*\n", _text(path).replace("\r", "")):
        lines = block.strip().split("\n")
        timed = next((i for i, line in enumerate(lines) if "-->" in line), None)
        if timed is None or (found := _TIME.search(lines[timed])) is None:
            continue
        text = " ".join(_TAG.sub("", " ".join(lines[timed + 1 :])).split())
        if text:
            cues.append(Cue(_seconds(found), text))
    if not cues:
        raise SubtitleError(f"{path} has no subtitle with a time")
    return tuple(cues)


@lru_cache(maxsize=8)
def read_json(path: Path, start: float, seconds: float) -> tuple[Cue, ...]:
    """The cues of a LongVideoBench file that fall into a clip of `seconds` that begins `start`
    seconds into the video they were written for: `{"timestamp": [from, to], "text"}` or
    `{"start": "00:00:01.000", "end", "line"}`. Raises SubtitleError."""
    try:
        rows = json.loads(_text(path))
    except ValueError as error:
        raise SubtitleError(f"{path} is no JSON ({error})") from error
    if not isinstance(rows, list):
        raise SubtitleError(f"{path} is no list")
    cues = [_cue(row, path) for row in rows]
    moved = [Cue(cue.start - start, cue.text) for cue in cues if cue.text]
    return tuple(cue for cue in moved if 0 <= cue.start < seconds)


def thinned(cues: Sequence[Cue], count: int) -> Sequence[Cue]:
    """`count` of them, spread evenly."""
    if count >= len(cues):
        return cues
    return [cues[i * len(cues) // count] for i in range(count)]


def _cue(row: Any, path: Path) -> Cue:
    try:
        if "timestamp" in row:
            return Cue(float(row["timestamp"][0]), str(row["text"]).strip())
        found = _TIME.search(row["start"])
        return Cue(_seconds(found), str(row["line"]).strip())  # type: ignore[arg-type]
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise SubtitleError(f"{path} has a subtitle without time or text: {row!r:.80}") from error


def _seconds(found: "re.Match[str]") -> float:
    hours, minutes, seconds = found.groups()
    return int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds.replace(",", "."))


def _text(path: Path) -> str:
    """The file's text: UTF-8 or UTF-16 as it says, else Windows' Western letters, in which any
    byte is some letter: subtitles from the web are what they are."""
    data = path.read_bytes()
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")
