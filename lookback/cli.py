"""The commands. Each loads only what it needs: the gateway's process never imports torch."""

import asyncio
import os
import sys
from json import dumps
from pathlib import Path
from typing import Annotated

import typer

import lookback_files
from lookback import eval_command, keys, snapshots
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


@app.command()
def bench(
    name: Annotated[str, typer.Argument(help="Which one; `list` names them.")],
    checkpoint: Annotated[
        str | None,
        typer.Argument(
            help="Of `policy-check` and `recall`: the model, as --model.", metavar="MODEL"
        ),
    ] = None,
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
        str | None,
        typer.Option(
            help="Of `soak`: how long; 30 by default. Of `recall`: lengths of streams, as 1,5."
        ),
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
    quick: Annotated[
        bool, typer.Option("--quick", help="Of `recall`: a part of it, in five minutes.")
    ] = False,
    policies: Annotated[
        str | None, typer.Option(help="Of `recall`, `policy-check`, `compress`: as van,recency.")
    ] = None,
    budgets: Annotated[
        str | None,
        typer.Option(help="Of `recall` and `policy-check`: shares of the stream's tokens, as 1/8."),
    ] = None,
    scenarios: Annotated[
        str | None, typer.Option(help="Of `recall`: which, as busy,quiet.")
    ] = None,
    streams: Annotated[
        int | None, typer.Option(help="Of `recall`: how many of each scenario and length.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="A checkpoint's folder or hub id; lookback-mini by default.")
    ] = None,
    video: Annotated[
        str | None, typer.Option(help="Of `policy-check`: the clip; the sample by default.")
    ] = None,
    fps: Annotated[
        float | None, typer.Option(help="Of `policy-check`: frames a second of it (1).")
    ] = None,
    positions: Annotated[
        str | None, typer.Option(help="Of `recall`: native or compact; the model's by default.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of `recall`: of streams and questions.")] = None,
    out: Annotated[
        str | None,
        typer.Option(
            help="Of `recall`: the JSON file; beside it the plots, and the finished parts, from "
            "which the same command goes on. runs/recall/recall.json by default."
        ),
    ] = None,
    art: Annotated[
        str | None, typer.Option(help="Of `recall`: openmoji adds streams in an unseen style.")
    ] = None,
    jobs: Annotated[int | None, typer.Option(help="Of `recall`: processes.")] = None,
    json: Json = False,
) -> None:
    """Run a benchmark. It reports; it does not pass or fail."""
    from lookback.bench import run as measure

    options = {
        "hours": hours,
        "seconds": seconds,
        "minutes": _minutes(name, minutes),
        "steps": steps,
        "think": think,
        "workers": workers,
        "simulate": simulate or None,
        "quick": quick or None,
        "policies": policies,
        "budgets": budgets,
        "scenarios": scenarios,
        "streams": streams,
        "model": model or checkpoint,
        "video": video,
        "fps": fps,
        "positions": positions,
        "seed": seed,
        "out": out,
        "art": art,
        "jobs": jobs,
    }
    raise typer.Exit(measure(name, json_wanted=json, options=options))


def _minutes(benchmark: str, given: str | None) -> float | str | None:
    """One number; of `recall` also several with commas between them."""
    try:
        return None if given is None else float(given)
    except ValueError:
        if benchmark != "recall":
            fail(f"--minutes must be a number, not {given!r}", 2)
        return given
