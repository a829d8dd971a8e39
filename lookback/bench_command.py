"""The command `lookback bench`. What it needs is loaded once it is asked to run."""

from typing import Annotated

import typer

from lookback.fail import fail


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
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
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
