"""The commands. Each loads only what it needs: the gateway's process never imports torch."""

import asyncio
import os
import sys
from json import dumps
from pathlib import Path
from typing import Annotated

import typer

import lookback_files
from lookback import bench_command, eval_command, keys, snapshots
from lookback.allocator import tidy
from lookback.fail import UNREADABLE, fail, said
from lookback.flags import BROKER, LISTEN, MODEL, takes
from lookback.part import EXIT_UNUSABLE
from lookback.settings import ServeSettings

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
app.command("eval")(eval_command.evaluate)


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
        fail(said(error), 2)
    except (ExposedError, KeysError) as error:
        fail(str(error), EXIT_UNUSABLE)
    raise typer.Exit(asyncio.run(run(settings)))


@app.command()
@takes(LISTEN, BROKER)
def gateway() -> None:
    """Run one gateway: page, cameras and questions. Needs a broker."""
    from broker.connection import BrokerError
    from server.app import GatewayError, run
    from server.settings import GatewaySettings

    tidy()
    try:
        run(GatewaySettings())
    except UNREADABLE as error:
        fail(said(error), EXIT_UNUSABLE)
    except BrokerError as error:
        fail(str(error))
    except GatewayError as error:
        fail(str(error), EXIT_UNUSABLE)


@app.command()
@takes(BROKER, MODEL)
def worker() -> None:
    """Run one model worker. Needs a broker."""
    tidy()  # before there are threads
    try:
        from model_worker.service import run
        from model_worker.settings import WorkerSettings
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "transformers"):
            raise
        fail(
            f"there is no {error.name} here: install lookback whole, or take a worker's image.",
            EXIT_UNUSABLE,
        )

    try:
        settings = WorkerSettings()
    except UNREADABLE as error:
        fail(said(error), EXIT_UNUSABLE)
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
        fail(said(error), 2)
    except AskError as error:
        fail(str(error))


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
        fail(str(error))
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
        fail(said(error), 2)
    except StatusError as error:
        fail(str(error))
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
        fail(str(error))
    except ValueError as error:
        fail(str(error), 2)


app.command("bench")(bench_command.bench)
