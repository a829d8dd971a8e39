"""Log lines on stderr, as text or as one JSON object each, with the ids of what they are about.

Ids of sessions and responses open them to whoever knows them whole: lines have their beginnings.
Pictures are never logged; questions and answers only where LOOKBACK_LOG_CONTENTS says so.
"""

import contextlib
import datetime
import json
import logging
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, Final, Literal, TextIO

Format = Literal["text", "json"]

ID_CHARACTERS: Final = 8
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
_about: ContextVar[Mapping[str, str]] = ContextVar("about", default=_NOTHING)
_OWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}


def short(identity: str) -> str:
    """The beginning of an id, which opens nothing: `resp_…` and `item_…` keep their kind."""
    kind, mark, rest = identity.partition("_")
    if mark and kind in ("resp", "item", "event"):
        return f"{kind}_{rest[:ID_CHARACTERS]}"
    return identity[:ID_CHARACTERS]


@contextlib.contextmanager
def about(**ids: str | None) -> Iterator[None]:
    """What is logged meanwhile, by this task and those that it begins, is about these; None takes
    a name away."""
    merged = {**_about.get(), **ids}
    token = _about.set({name: value for name, value in merged.items() if value is not None})
    try:
        yield
    finally:
        _about.reset(token)


def ids() -> Mapping[str, str]:
    """What is being logged about now."""
    return _about.get()


class TextFormatter(logging.Formatter):
    """`2026-01-31 12:00:00,000 gateway INFO server.app: what happened [request 1a2b]`."""

    def __init__(self, part: str) -> None:
        super().__init__(f"%(asctime)s {part} %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        line = super().formatMessage(record)
        request = _about.get().get("request")
        return f"{line} [request {request}]" if request else line


class JsonFormatter(logging.Formatter):
    """One object a line: time (RFC 3339, UTC), level, part, logger, message, and what `about` and
    `extra` name; `exception` is a traceback."""

    def __init__(self, part: str) -> None:
        super().__init__()
        self._part = part

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _rfc3339(record.created),
            "level": record.levelname.lower(),
            "part": self._part,
            "logger": record.name,
            "message": record.getMessage(),
            **_about.get(),
            **{name: value for name, value in vars(record).items() if name not in _OWN},
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = "".join(traceback.format_exception(*record.exc_info)).rstrip()
        return json.dumps(line, default=str, ensure_ascii=False)


def configure(
    part: str, level: str = "info", form: Format = "text", stream: TextIO | None = None
) -> None:
    """All of this process's lines from now on; whatever was configured before is replaced. part:
    `gateway`, `worker` or `supervisor`."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter(part) if form == "json" else TextFormatter(part))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def _rfc3339(at: float) -> str:
    moment = datetime.datetime.fromtimestamp(at, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
