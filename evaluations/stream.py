"""One video as a stream with questions: frames in the order of their times, each question when its
time has come, from what was seen by then. It knows nothing of files of questions or of scores."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from evaluations.item import Answered, Item, Skip
from evaluations.subtitles import thinned
from lookback.video import Video, VideoError
from model_worker.decoding import Sampling
from model_worker.engine import Engine
from model_worker.picture import fitted
from model_worker.session import FrameError, QuestionError, Session

NO_VIDEO: Final = "no video"
DAMAGED: Final = "damaged video"
FRAMES: Final = "unusable frames"
BEYOND: Final = "time beyond the end"
TOO_LONG: Final = "question too long"
FULL: Final = "memory full"

LATE_SECONDS: Final = 60.0
"""Benchmarks cut a video at the question's time or at its end, whichever comes first; times that
are further beyond the end belong to another file, or the file is not whole."""
_SHORT: Final = (5.0, 0.05)  # seconds, share: what a file may lack of the length that it claims
_FEWER: Final = 0.75


@dataclass(frozen=True)
class Streaming:
    """How videos are watched. None: as suits the model."""

    fps: float
    max_tokens: int
    budget_tokens: int | None = None
    policy: str | None = None


@dataclass(frozen=True)
class _Due:
    time: float
    order: int
    item: Item


class _Watched:
    """What the stream has come to."""

    def __init__(self, session: Session, max_tokens: int) -> None:
        self.session = session
        self.max_tokens = max_tokens
        self.newest = -math.inf
        self._responses: dict[str, list[str]] = {}
        self._over: set[str] = set()

    def ask(self, due: _Due, late: float = 0.0) -> Answered | Skip | None:
        """What became of the item; None while it is to be asked again."""
        item = due.item
        if item.id in self._over:
            return None
        try:
            said, shown = _answer(self.session, item, self.newest, self.max_tokens)
        except QuestionError as error:
            self._over.add(item.id)
            return Skip(item.id, TOO_LONG, str(error))
        responses = self._responses.setdefault(item.id, [])
        responses.append(said)
        enough = bool(item.until) and item.until in said.lower()
        if len(responses) < len(item.times) and not enough:
            return None
        self._over.add(item.id)
        view = self.session.memory
        return Answered(
            item,
            tuple(responses),
            asked_at=round(self.newest, 3),
            frames=view.frames_seen,
            kv_bytes=view.kv_bytes,
            late=round(late, 3),
            subtitles=(shown, len(item.subtitles)),
        )

    def close(self, item: Item) -> None:
        """It is not asked again."""
        self._over.add(item.id)

    def open(self, due: Sequence[_Due]) -> list[Item]:
        """Those whose end has not come, in order, each once."""
        items = {each.item.id: each.item for each in due if each.item.id not in self._over}
        return list(items.values())


def watch(engine: Engine, items: Sequence[Item], streaming: Streaming) -> Iterator[Answered | Skip]:
    """What becomes of each of the items, which are about one video, in the order of their times.

    A question does not change the memory and is not told of those before it: asking some of them
    now and the rest another day gives the same answers. Raises ValueError for a budget or a policy
    that cannot be, before anything is watched.
    """
    try:
        video = Video(items[0].video)
    except VideoError as error:
        there = items[0].video.is_file()
        reason = DAMAGED if there else NO_VIDEO
        yield from (Skip(item.id, reason, str(error).rstrip(".")) for item in items)
        return
    session = engine.open_session(
        budget_tokens=streaming.budget_tokens, policy=streaming.policy, history_turns=0
    )
    try:
        yield from _stream(engine, video, items, _Watched(session, streaming.max_tokens), streaming)
    finally:
        session.close()


def _stream(
    engine: Engine, video: Video, items: Sequence[Item], watched: _Watched, streaming: Streaming
) -> Iterator[Answered | Skip]:
    due = sorted(
        (
            _Due(time, order, item)
            for order, item in enumerate(items)
            for time in item.times or (math.inf,)
        ),
        key=lambda each: (each.time, each.order),
    )
    broken = None
    try:
        for frame in video.sampled(streaming.fps, _until(due)):
            while due and due[0].time < frame.timestamp - 1e-3:
                if became := watched.ask(due.pop(0)):
                    yield became
            if not due:
                return
            pixels = fitted(frame.pixels, engine.frame_size, engine.max_pixels)
            watched.session.watch(pixels, frame.timestamp)
            watched.newest = frame.timestamp
    except VideoError as error:
        broken = DAMAGED, str(error).rstrip(".")
    except FrameError as error:
        session = watched.session
        full = session.has_seen and not session.state.policy.drops
        broken = FULL if full else FRAMES, str(error)
    period = 1 / streaming.fps
    if broken is None and (lacks := _lacks(video, watched.newest + period, due)):
        broken = DAMAGED, lacks
    if broken is not None:
        yield from (Skip(item.id, *broken) for item in watched.open(due))
        return
    for each in due:
        late = each.time - watched.newest - period if each.time < math.inf else 0.0
        if late > LATE_SECONDS:
            ends = f"asked at {each.time:g} s of a video of {watched.newest:g} s: is it whole?"
            if watched.open([each]):
                yield Skip(each.item.id, BEYOND, ends)
                watched.close(each.item)
        elif became := watched.ask(each, max(0.0, late)):
            yield became


def _until(due: Sequence[_Due]) -> float | None:
    """Nothing after the last question has to be decoded."""
    return due[-1].time if due[-1].time < math.inf else None


def _lacks(video: Video, end: float, due: Sequence[_Due]) -> str:
    """What is wrong with a file whose pictures end at `end` and that claims to be longer."""
    wanted = min(max((each.time for each in due), default=0.0), video.seconds or 0.0)
    if end >= wanted - max(_SHORT[0], _SHORT[1] * wanted):
        return ""
    return f"{video.path} breaks off after {end:.0f} of {video.seconds or 0:.0f} s"


def _answer(session: Session, item: Item, now: float, max_tokens: int) -> tuple[str, int]:
    """What the model says, and how many subtitles it was shown: all until `now`, or as many, spread
    evenly, as the question has room for. Raises QuestionError."""
    past = [cue for cue in item.subtitles if cue.start <= now]
    count = len(past)
    while True:
        lines = [cue.text for cue in thinned(past, count)]
        head = [item.heading, *lines] if lines and item.heading else lines
        try:
            answer = session.ask("\n".join([*head, item.prompt]), Sampling(max_tokens=max_tokens))
        except QuestionError:
            if not count:
                raise
            count = int(count * _FEWER)
            continue
        for _ in answer:
            pass
        return answer.text, count
