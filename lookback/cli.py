"""The commands. Each loads only what it needs: the gateway's process never imports torch."""

import asyncio
import os
import re
import sys
from json import dumps
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError

import lookback_files
from lookback import keys, snapshots
from lookback.flags import BROKER, LISTEN, MODEL, takes
from lookback.part import EXIT_UNUSABLE
from lookback.settings import ServeSettings

UNREADABLE = (ValidationError, SettingsError)
SECRETS = ("broker_url", "ice_servers", "token_secret", "turn_secret")

app = typer.Typer(
    help="Ask a live camera about anything it has seen, in memory that never grows.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
Clip = Annotated[Path, typer.Argument(help="A video file.")]

SAMPLE = lookback_files.SAMPLES / "objects.mp4"

app.add_typer(keys.app, name="keys")
app.add_typer(snapshots.app, name="session")


def _fail(message: str, status: int = 1) -> NoReturn:
    typer.echo(f"lookback: {message}", err=True)
    raise typer.Exit(status)


def _said(error: ValidationError | SettingsError) -> str:
    if isinstance(error, SettingsError):
        # It is about a value that should be JSON; what else it knows may be secret.
        named = re.search(r'field "(\w+)"', str(error))
        return f"LOOKBACK_{named[1].upper() if named else '*'} is no JSON."
    lines = []
    for fault in error.errors():
        name = f"LOOKBACK_{'_'.join(map(str, fault['loc'])).upper()}"
        shown = "" if fault["loc"][:1] and fault["loc"][0] in SECRETS else f"={fault['input']!r}"
        lines.append(f"{name}{shown}: {fault['msg']}")
    return "a setting cannot be used. " + "; ".join(lines)


@app.command()
@takes(LISTEN, BROKER, MODEL)
def serve() -> None:
    """Run broker, gateway and worker as one service on this machine."""
    from lookback.serve import serve as run
    from server.access_settings import AccessSettings
    from server.api_keys import KeysError, read
    from server.hosts import ExposedError, check_exposure

    try:
        settings, access = ServeSettings(), AccessSettings()
        check_exposure(access)
        if access.api_keys_file is not None:
            read(access.api_keys_file)  # before anything is started
    except UNREADABLE as error:
        _fail(_said(error), 2)
    except (ExposedError, KeysError) as error:
        _fail(str(error), EXIT_UNUSABLE)
    raise typer.Exit(asyncio.run(run(settings)))


@app.command()
@takes(LISTEN, BROKER)
def gateway() -> None:
    """Run one gateway: page, cameras and questions. Needs a broker."""
    from broker.connection import BrokerError
    from server.app import GatewayError, run
    from server.settings import GatewaySettings

    try:
        run(GatewaySettings())
    except UNREADABLE as error:
        _fail(_said(error), EXIT_UNUSABLE)
    except BrokerError as error:
        _fail(str(error))
    except GatewayError as error:
        _fail(str(error), EXIT_UNUSABLE)


@app.command()
@takes(BROKER, MODEL)
def worker() -> None:
    """Run one model worker. Needs a broker."""
    try:
        from model_worker.service import run
        from model_worker.settings import WorkerSettings
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "transformers"):
            raise
        _fail(
            f"there is no {error.name} here: install lookback whole, or take a worker's image.",
            EXIT_UNUSABLE,
        )

    try:
        settings = WorkerSettings()
    except UNREADABLE as error:
        _fail(_said(error), EXIT_UNUSABLE)
    status = run(settings)
    sys.stderr.flush()
    os._exit(status)  # torch's own threads need not be waited for


@app.command()
@takes(MODEL)
def ask(
    clip: Clip,
    question: Annotated[str, typer.Argument(help="What you want to know.")],
    at: Annotated[
        float | None, typer.Option(help="Seconds of the clip to watch first; all by default.")
    ] = None,
    fps: Annotated[float, typer.Option(help="Frames watched per second of the clip.")] = 1.0,
    max_tokens: Annotated[int, typer.Option(help="The longest answer.", min=1)] = 128,
) -> None:
    """Ask about a video file, without a server."""
    from lookback.ask import Asked, AskError
    from lookback.ask import ask as run
    from model_worker.settings import WorkerSettings

    try:
        settings = WorkerSettings()
        run(
            Asked(
                clip=clip,
                question=question,
                at=at,
                model=settings.model,
                device=settings.device,
                dtype=settings.dtype,
                revision=settings.revision,
                attention=settings.attention,
                quantization=settings.quantization,
                budget_tokens=settings.budget_tokens,
                policy=settings.policy,
                fps=fps,
                max_tokens=max_tokens,
            )
        )
    except UNREADABLE as error:
        _fail(_said(error), 2)
    except AskError as error:
        _fail(str(error))


@app.command()
@takes(MODEL)
def demo(
    clip: Annotated[
        Path, typer.Option(help="A clip with its questions beside it, as NAME.json.")
    ] = SAMPLE,
    json: Json = False,
) -> None:
    """Play a clip into the running service as a camera, ask, and judge the answers.

    Exit status 0: at least 9 in 10 answers are right and memory stayed under its cap.
    """
    from lookback.demo import DemoError
    from lookback.demo import run as play

    os.environ.setdefault("LOOKBACK_LOG_LEVEL", "warning")  # the parts' logs would tear the bar
    os.environ.pop("LOOKBACK_API_KEYS_FILE", None)  # its service is its own, on this machine
    try:
        passed = asyncio.run(play(clip, json_wanted=json))
    except DemoError as error:
        _fail(str(error))
    raise typer.Exit(0 if passed else 1)


@app.command()
@takes(LISTEN)
def status(
    url: Annotated[
        str | None,
        typer.Option(
            envvar="LOOKBACK_URL",
            help="The gateway; this machine's by default. An API key with the scope observe is "
            "taken from LOOKBACK_API_KEY.",
        ),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Show it once, and end.")] = False,
    every: Annotated[float, typer.Option(min=0.2, help="Seconds between two looks.")] = 1.0,
    json: Json = False,
) -> None:
    """Show workers, sessions, memory, latency and queue, again and again."""
    from rich.console import Console

    from lookback.status import StatusError, read, show, watch

    key = os.environ.get("LOOKBACK_API_KEY") or None
    try:
        settings = ServeSettings()
        there = url or f"{settings.scheme}://{settings.reachable_host}:{settings.port}"
        if json:
            print(dumps(read(there, key)))
        elif once:
            Console(soft_wrap=True).print(show(read(there, key)))
        else:
            watch(there, key, every, Console())
    except UNREADABLE as error:
        _fail(_said(error), 2)
    except StatusError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


@app.command()
def models(
    model: Annotated[
        list[str] | None,
        typer.Argument(help="Hub ids or folders to look into, without loading their weights."),
    ] = None,
    budget: Annotated[
        int | None, typer.Option(help="Visual tokens of a session; each model's default if none.")
    ] = None,
    fps: Annotated[float, typer.Option(help="Frames that a session watches a second.")] = 1.0,
    dtype: Annotated[str, typer.Option(help="Of the KV memory.")] = "bfloat16",
    revision: Annotated[
        str | None, typer.Option(help="Branch, tag or commit of the hub ids.")
    ] = None,
    json: Json = False,
) -> None:
    """List model families: what each keeps of a frame, and how long a session remembers."""
    from lookback.models import run as list_models
    from model_worker.errors import ModelError

    try:
        list_models(
            model or [], budget=budget, fps=fps, dtype=dtype, revision=revision, json_wanted=json
        )
    except ModelError as error:
        _fail(str(error))
    except ValueError as error:
        _fail(str(error), 2)


@app.command()
def bench(
    name: Annotated[str, typer.Argument(help="Which one; `list` names them.")],
    hours: Annotated[
        float | None, typer.Option(help="Of `endless`: hours of stream; 24 by default.")
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            help="Of `sessions`: live seconds a point (25). Of `gateway`: seconds a round (6). "
            "Of `load`: seconds a step (10)."
        ),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Of `soak`: how long; 30 by default.")
    ] = None,
    steps: Annotated[
        str | None, typer.Option(help="Of `load`: numbers of clients, as 4,8,16.")
    ] = None,
    think: Annotated[
        float | None,
        typer.Option(help="Of `load` and `soak`: mean seconds before the next question (0.5)."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Of `load`: how many; 1, or with --simulate 1 and then 2.")
    ] = None,
    simulate: Annotated[
        bool, typer.Option("--simulate", help="Of `load`: workers that sleep, not compute.")
    ] = False,
    json: Json = False,
) -> None:
    """Run a benchmark. It reports; it does not pass or fail."""
    from lookback.bench import run as measure

    options = {
        "hours": hours,
        "seconds": seconds,
        "minutes": minutes,
        "steps": steps,
        "think": think,
        "workers": workers,
        "simulate": simulate or None,
    }
    raise typer.Exit(measure(name, json_wanted=json, options=options))
