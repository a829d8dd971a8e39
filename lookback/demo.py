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
from lookback.live import ClipTrack, LiveError, LiveSession
from lookback.part import PartError
from lookback.serve import ServeError, Supervisor, say
from lookback.settings import ServeSettings
from lookback.video import Video, VideoError

PASS_SHARE: Final = 0.9
SETTLE_SECONDS: Final = 3.0


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
    except (BrokerError, PartError, ServeError, VideoError, LiveError) as error:
        raise DemoError(str(error)) from error
    except TimeoutError as error:
        raise DemoError("The service took too long to connect or to answer.") from error
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
    track = ClipTrack(clip)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[state]}"))
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as progress:
        bar = progress.add_task("connecting", total=script.questions[-1].at, state="")
        async with LiveSession(url, track) as live:

            async def show_progress() -> None:
                while True:
                    used, cap = (live.memory.get(key, 0) for key in ("tokens", "cap_tokens"))
                    state = f"{track.seconds:.0f} s, {used}/{cap} tokens"
                    progress.update(bar, completed=track.seconds, state=state)
                    await asyncio.sleep(0.25)

            shown = asyncio.create_task(show_progress())
            judged = []
            try:
                for number, question in enumerate(script.questions, 1):
                    name = f"question {number} of {len(script.questions)}"
                    progress.update(bar, description=name)
                    await track.reached(question.at)
                    judged.append(await _judge(live, question))
                await _settle(live)
            finally:
                shown.cancel()
            return _outcome(clip, live, judged)


async def _judge(live: LiveSession, question: Question) -> Judged:
    reply = await live.ask(question.question)
    answer = reply.text or reply.message
    return Judged(
        at=question.at,
        question=question.question,
        expected=question.expected,
        answer=answer.strip(),
        right=reply.status == "completed" and question.right(reply.text),
        status=reply.status,
        ttft_seconds=reply.ttft_seconds,
        span=reply.lookback.get("span"),
    )


async def _settle(live: LiveSession) -> None:
    """Wait until memory's counters have caught up with the camera's."""
    waited = 0.0
    while live.memory.get("frames_seen", 0) < live.camera.get("frames_sent", 0):
        if waited >= SETTLE_SECONDS:
            return
        await asyncio.sleep(0.25)
        waited += 0.25


def _outcome(clip: Path, live: LiveSession, judged: list[Judged]) -> Outcome:
    memory, camera = live.memory, live.camera
    if not memory:
        raise LiveError("The service never told what its memory holds.")
    correct = sum(question.right for question in judged)
    held = memory["peak_tokens"] <= memory["cap_tokens"]
    return Outcome(
        clip=clip.name,
        model=live.session["model"],
        questions=judged,
        correct=correct,
        cap_tokens=memory["cap_tokens"],
        peak_tokens=memory["peak_tokens"],
        budget_tokens=live.session["budget_tokens"],
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
