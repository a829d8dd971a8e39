"""The shipped clip, played into a running service as a camera, with questions that have answers."""

import asyncio
import json
import re
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from broker.connection import BrokerError
from lookback.part import PartError
from lookback.serve import ServeError, Supervisor, say
from lookback.settings import ServeSettings
from lookback.video import Video, VideoError
from lookback_client import (
    AnswerFailed,
    File,
    Lookback,
    LookbackError,
    Publication,
    Session,
)

PASS_SHARE: Final = 0.9
SETTLE_SECONDS: Final = 3.0
LOOK_SECONDS: Final = 0.02


class DemoError(RuntimeError):
    """The demo cannot be played; the message says what to change."""


class Question(msgspec.Struct, frozen=True):
    """at: seconds of the clip. accept: other answers that are right too."""

    at: float
    question: str
    expected: str
    accept: tuple[str, ...] = ()

    def right(self, answer: str) -> bool:
        """Whether the words are those expected, whatever the case and punctuation."""
        return _words(answer) in [_words(text) for text in (self.expected, *self.accept)]


class Script(msgspec.Struct, frozen=True):
    """The questions that belong to a clip."""

    questions: tuple[Question, ...]


@dataclass(frozen=True)
class Judged:
    """A question with what came of it."""

    at: float
    question: str
    expected: str
    answer: str
    right: bool
    status: str
    ttft_seconds: float | None
    span: list[float] | None


@dataclass
class Outcome:
    """What a demo shows. Tokens and bytes are of the one session's memory."""

    clip: str
    model: str
    questions: list[Judged] = field(default_factory=list)
    correct: int = 0
    cap_tokens: int = 0
    peak_tokens: int = 0
    budget_tokens: int = 0
    kv_bytes: int = 0
    compressions: int = 0
    frames_sent: int = 0
    frames_seen: int = 0
    frames_dropped: int = 0
    frames_skipped: int = 0
    ttft_seconds: list[float] = field(default_factory=list)
    passed: bool = False


async def run(clip: Path, *, json_wanted: bool) -> bool:
    """Play the clip, and write the outcome to stdout; whether it passed. Raises DemoError."""
    console = Console(stderr=True)
    script = read_script(clip)
    try:
        Video(clip)
        async with Supervisor(ServeSettings(broker_url=None, host="127.0.0.1", port=0)) as service:
            say("starting the service")
            await service.ready()
            say(f"playing {clip.name} into {service.url} in real time")
            outcome = await _play(service.url, clip, script, console)
    except (BrokerError, PartError, ServeError, VideoError, LookbackError) as error:
        raise DemoError(str(error)) from error
    if json_wanted:
        print(json.dumps(asdict(outcome), indent=2))
    else:
        show(outcome, Console(file=sys.stdout))
    return outcome.passed


def read_script(clip: Path) -> Script:
    """The questions beside the clip, in the order of their times. Raises DemoError."""
    path = clip.with_suffix(".json")
    if not clip.is_file():
        raise DemoError(f"There is no clip {clip}.")
    if not path.is_file():
        raise DemoError(f"{clip.name} has no questions: there is no {path}.")
    try:
        script = msgspec.json.decode(path.read_bytes(), type=Script)
    except msgspec.DecodeError as error:
        raise DemoError(f"{path} cannot be read: {error}.") from error
    if not script.questions:
        raise DemoError(f"{path} has no questions.")
    return Script(tuple(sorted(script.questions, key=lambda question: question.at)))


async def _play(url: str, clip: Path, script: Script, console: Console) -> Outcome:
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[state]}"))
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as progress:
        bar = progress.add_task("connecting", total=script.questions[-1].at, state="")
        async with Lookback(url) as service, service.session() as session:
            camera = await session.publish(File(clip), webrtc=True)

            async def show_progress() -> None:
                while True:
                    memory = session.memory
                    held = f", {memory['tokens']}/{memory['cap_tokens']} tokens" if memory else ""
                    state = f"{camera.seconds:.0f} s{held}"
                    progress.update(bar, completed=camera.seconds, state=state)
                    await asyncio.sleep(0.25)

            shown = asyncio.create_task(show_progress())
            judged = []
            try:
                for number, question in enumerate(script.questions, 1):
                    name = f"question {number} of {len(script.questions)}"
                    progress.update(bar, description=name)
                    await _reached(camera, question.at)
                    judged.append(await _judge(session, question))
                await _settle(session)
            finally:
                shown.cancel()
            return _outcome(clip, session, judged)


async def _reached(camera: Publication, seconds: float) -> None:
    """Returns when so much of the clip was played, or all of it."""
    while camera.seconds < seconds and camera.state != "ended":
        if camera.error is not None:
            raise camera.error
        await asyncio.sleep(LOOK_SECONDS)


async def _judge(session: Session, question: Question) -> Judged:
    answer, message = session.ask(question.question), ""
    try:
        await answer
    except AnswerFailed as error:
        message = error.message
    return Judged(
        at=question.at,
        question=question.question,
        expected=question.expected,
        answer=(answer.text or message).strip(),
        right=answer.status == "completed" and question.right(answer.text),
        status=answer.status,
        ttft_seconds=answer.ttft_seconds,
        span=list(answer.span) if answer.span else None,
    )


async def _settle(session: Session) -> None:
    """Wait until memory's counters have caught up with the camera's."""
    waited = 0.0
    while waited < SETTLE_SECONDS:
        memory, camera = session.memory, session.camera
        if memory and camera and memory["frames_seen"] >= camera["frames_sent"]:
            return
        await asyncio.sleep(0.25)
        waited += 0.25


def _outcome(clip: Path, session: Session, judged: list[Judged]) -> Outcome:
    memory, camera, info = session.memory, session.camera, session.info
    if not memory or not camera or not info:
        raise DemoError("The service never told what its memory holds.")
    correct = sum(question.right for question in judged)
    held = memory["peak_tokens"] <= memory["cap_tokens"]
    return Outcome(
        clip=clip.name,
        model=info["model"],
        questions=judged,
        correct=correct,
        cap_tokens=memory["cap_tokens"],
        peak_tokens=memory["peak_tokens"],
        budget_tokens=info["budget_tokens"],
        kv_bytes=memory["kv_bytes"],
        compressions=memory["compressions"],
        frames_sent=camera["frames_sent"],
        frames_seen=memory["frames_seen"],
        frames_dropped=memory["frames_dropped"],
        frames_skipped=camera["frames_skipped"],
        ttft_seconds=[q.ttft_seconds for q in judged if q.ttft_seconds is not None],
        passed=held and correct >= PASS_SHARE * len(judged),
    )


def show(outcome: Outcome, console: Console) -> None:
    """The outcome as a table."""
    table = Table("at", "question", "answer", "expected", "", "first token")
    for judged in outcome.questions:
        verdict = "[green]right[/green]" if judged.right else "[red]wrong[/red]"
        ttft = "" if judged.ttft_seconds is None else f"{judged.ttft_seconds:.2f} s"
        at = f"{judged.at:g} s"
        table.add_row(at, judged.question, judged.answer, judged.expected, verdict, ttft)
    console.print(table)
    console.print(
        f"{outcome.correct} of {len(outcome.questions)} right; memory at most "
        f"{outcome.peak_tokens} of {outcome.cap_tokens} tokens "
        f"({outcome.kv_bytes / 1e6:.1f} MB, {outcome.compressions} compressions); "
        f"{outcome.frames_seen} of {outcome.frames_sent} frames seen.",
        highlight=False,
    )


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
