"""The command `lookback eval`. What it needs is loaded once it is asked to run."""

from pathlib import Path
from typing import Annotated

import typer

from lookback.fail import UNREADABLE, fail, said
from lookback.flags import MODEL, takes


@takes(MODEL)
def evaluate(
    name: Annotated[
        str | None,
        typer.Argument(
            help="videomme, mlvu, longvideobench, egoschema, ovobench, streamingbench or rvs."
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="The folder with the benchmark's files.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The results file, a JSON object a line; a run goes on from it."),
    ] = None,
    fps: Annotated[
        float | None, typer.Option(help="Frames watched per second; as the benchmark has it.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Ask so many questions at most.")] = None,
    tasks: Annotated[
        str | None, typer.Option(help="Ask these tasks or groups only, as EPM,OCR or long.")
    ] = None,
    subtitles: Annotated[
        bool, typer.Option("--subtitles", help="Show subtitles with the question.")
    ] = False,
    judge: Annotated[
        str | None,
        typer.Option(
            help="Of `rvs`: an endpoint in OpenAI's form that grades, as http://host/v1. Its key "
            "is taken from LOOKBACK_JUDGE_KEY."
        ),
    ] = None,
    judge_model: Annotated[
        str, typer.Option(help="Who grades; papers used this one.")
    ] = "gpt-3.5-turbo-0613",
    listed: Annotated[
        bool, typer.Option("--list", help="Say what each benchmark expects, and end.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Ask a published benchmark as a stream, and score it beside what papers report."""
    from evaluations.run import Options
    from lookback.evaluate import list_all
    from lookback.evaluate import run as ask_all
    from model_worker.settings import WorkerSettings

    if listed:
        raise typer.Exit(list_all(name))
    if name is None or data is None:
        fail("give a benchmark and its --data FOLDER; --list says which there are", 2)
    try:
        settings = WorkerSettings()
    except UNREADABLE as error:
        fail(said(error), 2)
    options = Options(
        data=data,
        out=out or Path(),
        fps=fps,
        limit=limit,
        tasks=tuple(task.strip() for task in (tasks or "").split(",") if task.strip()),
        subtitles=subtitles,
        policy=settings.policy,
        budget_tokens=settings.budget_tokens,
    )
    status = ask_all(
        name,
        options,
        settings,
        out=out,
        judge=judge,
        judge_model=judge_model,
        json_wanted=json,
    )
    raise typer.Exit(status)
