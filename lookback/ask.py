"""A question about a video file, answered by the engine alone: no server, no broker."""

import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import transformers
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from lookback.video import Video, VideoError
from model_worker.decoding import Sampling
from model_worker.engine import Engine, ModelError
from model_worker.picture import fitted
from model_worker.session import FrameError, QuestionError, Session


class AskError(RuntimeError):
    """A question that cannot be asked; the message says what to change."""


@dataclass(frozen=True)
class Asked:
    """at: seconds of the clip that are watched before the question, None for all of it."""

    clip: Path
    question: str
    at: float | None = None
    model: str = ""
    device: str = "auto"
    dtype: str = "auto"
    revision: str | None = None
    attention: str = "auto"
    quantization: str = "none"
    budget_tokens: int | None = None
    policy: str | None = None
    fps: float = 1.0
    max_tokens: int = 128


def ask(asked: Asked) -> None:
    """Writes the answer to stdout as it is made, and what memory it rests on to stderr.

    Raises AskError.
    """
    console = Console(stderr=True)
    transformers.utils.logging.disable_progress_bar()
    try:
        video = Video(asked.clip)
        until = _until(asked, video)
        with console.status(f"loading {asked.model}"):
            engine = Engine.load(
                asked.model,
                device=asked.device,
                dtype=asked.dtype,
                revision=asked.revision,
                attention=asked.attention,
                quantization=asked.quantization,
            )
        session = engine.open_session(budget_tokens=asked.budget_tokens, policy=asked.policy)
        newest = _watch(engine, session, video, asked, until, console)
        if asked.at is not None and video.seconds is None and newest + 1 / asked.fps < asked.at:
            raise AskError(_too_late(asked, newest))
        _answer(session, asked, console)
    except (VideoError, ModelError, FrameError, QuestionError, ValueError) as error:
        raise AskError(str(error)) from error


def _until(asked: Asked, video: Video) -> float | None:
    if asked.fps <= 0:
        raise AskError("--fps is above 0: how many frames a second are watched.")
    if asked.at is None:
        return video.seconds
    if asked.at < 0:
        raise AskError("--at counts seconds from the clip's start: 0 or more.")
    if video.seconds is not None and asked.at > video.seconds:
        raise AskError(_too_late(asked, video.seconds))
    return asked.at


def _too_late(asked: Asked, seconds: float) -> str:
    return f"{asked.clip} lasts {seconds:.1f} s: --at {asked.at:g} is beyond its end."


def _watch(
    engine: Engine,
    session: Session,
    video: Video,
    asked: Asked,
    until: float | None,
    console: Console,
) -> float:
    """Stream the clip into memory; the newest frame's time in seconds."""
    newest = 0.0
    columns = (TextColumn("watching"), BarColumn(), TextColumn("{task.fields[state]}"))
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as progress:
        bar = progress.add_task("watching", total=until, state="")
        for frame in video.sampled(asked.fps, until):
            pixels = fitted(frame.pixels, engine.frame_size, engine.max_pixels)
            session.watch(pixels, frame.timestamp)
            newest = frame.timestamp
            view = session.memory
            state = f"{newest:.0f} s, {view.tokens}/{view.cap_tokens} tokens"
            progress.update(bar, completed=newest, state=state)
    return newest


def _answer(session: Session, asked: Asked, console: Console) -> None:
    began = time.monotonic()
    first = None
    answer = session.ask(asked.question, Sampling(max_tokens=asked.max_tokens))
    for piece in answer:
        if piece and first is None:
            first = time.monotonic() - began
        sys.stdout.write(piece)
        sys.stdout.flush()
    sys.stdout.write("\n")
    with suppress(BrokenPipeError):
        sys.stdout.flush()
    view = session.memory
    span = f"{view.span[0]:.0f} s to {view.span[1]:.0f} s" if view.span else "nothing"
    console.print(
        f"[dim]first token after {first or 0:.2f} s; memory: {view.frames_seen} frames seen, "
        f"{view.tokens} of at most {view.cap_tokens} tokens, covering {span}[/dim]",
        highlight=False,
    )
