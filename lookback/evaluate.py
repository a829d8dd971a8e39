"""Asks a published benchmark through the streaming path and shows what came of it."""

import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import transformers
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from evaluations import BENCHMARKS
from evaluations.benchmark import Benchmark
from evaluations.errors import ChoiceError, EvalError
from evaluations.grader import Grader
from evaluations.run import Grade, Options
from evaluations.run import run as ask
from model_worker.engine import Engine, ModelError
from model_worker.settings import WorkerSettings

DONE, FAILED, UNUSABLE, INTERRUPTED = 0, 1, 2, 130
_SHOWN_SKIPS: Final = 10
_NEAR: Final = 0.1  # budgets that differ by less are the same: 6K is 6,000 or 6,144


def list_all(name: str | None = None) -> int:
    """What a benchmark, or each, expects in its folder, and where that is had from."""
    if name is not None and name not in BENCHMARKS:
        return _unknown(name)
    for benchmark in [BENCHMARKS[name]] if name else BENCHMARKS.values():
        print(f"{benchmark.name}: {benchmark.title}")
        print(f"  from {benchmark.source}")
        for file in benchmark.expects:
            print(f"  - {file}")
        print(
            f"  overall: the mean {benchmark.average}; an answer that names no option is "
            f"{benchmark.unnamed}"
            if not benchmark.judged
            else f"  overall: the mean {benchmark.average}, graded"
        )
        print(f"  {benchmark.fps:g} frames a second where --fps does not say")
        if benchmark.remarks:
            print(f"  {benchmark.remarks}")
        print()
    return DONE


def _unknown(name: str) -> int:
    print(f"lookback: there is no {name!r}; there are {', '.join(BENCHMARKS)}.", file=sys.stderr)
    return UNUSABLE


def run(
    name: str,
    options: Options,
    settings: WorkerSettings,
    *,
    out: Path | None = None,
    judge: str | None = None,
    judge_model: str = "gpt-3.5-turbo-0613",
    json_wanted: bool = False,
) -> int:
    """The exit status: 0 where something was answered and, if right answers are known, scored.

    `out` None: a file here, named after benchmark, model, policy and budget.
    """
    if name not in BENCHMARKS:
        return _unknown(name)
    benchmark, console = BENCHMARKS[name], Console(stderr=True)
    transformers.utils.logging.disable_progress_bar()
    grade: Grade | None = None
    if judge is not None:
        if not benchmark.judged:
            own = f"{benchmark.title} is scored by its own rule: leave --judge out"
            print(f"lookback: {own}.", file=sys.stderr)
            return UNUSABLE
        grade = Grader(judge, judge_model, os.environ.get("LOOKBACK_JUDGE_KEY") or None)
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    try:
        with Progress(
            *columns, console=console, transient=True, disable=not console.is_terminal
        ) as progress:
            task = progress.add_task(f"loading {settings.model}", total=None)

            def tell(text: str) -> None:
                if console.is_terminal:
                    progress.update(task, description=text.replace("[", r"\["))
                else:
                    print(f"{name}: {text}", file=sys.stderr, flush=True)

            engine = _load(settings)
            wanted = replace(options, out=out or default_out(name, engine, options))
            extra = {
                "revision": settings.revision,
                "dtype": str(engine.adapter.dtype).removeprefix("torch."),
                "quantization": settings.quantization,
            }
            summary = ask(benchmark, engine, wanted, extra=extra, grade=grade, tell=tell)
    except ChoiceError as error:
        print(f"lookback: {error}.", file=sys.stderr)
        return UNUSABLE
    except (EvalError, ModelError) as error:
        print(f"lookback: {error}.", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("lookback: stopped; the same command goes on where it was.", file=sys.stderr)
        return INTERRUPTED
    if json_wanted:
        print(json.dumps(summary, indent=2, ensure_ascii=False))
    else:
        show(summary, benchmark, Console(soft_wrap=True))
    nothing = not summary["answered"] or (_scorable(benchmark, summary) and not summary["scored"])
    return FAILED if nothing else DONE


def _scorable(benchmark: Benchmark, summary: Mapping[str, Any]) -> bool:
    return not benchmark.judged and summary["unknown"] < summary["answered"]


def _load(settings: WorkerSettings) -> Engine:
    return Engine.load(
        settings.model,
        device=settings.device,
        dtype=settings.dtype,
        threads=settings.threads,
        revision=settings.revision,
        attention=settings.attention,
        quantization=settings.quantization,
    )


def default_out(name: str, engine: Engine, options: Options) -> Path:
    """A name of its own for each model, policy and budget."""
    parts = (
        name,
        engine.name.rsplit("/", 1)[-1],
        options.policy or engine.default_policy,
        str(options.budget_tokens or engine.default_budget_tokens),
    )
    return Path(re.sub(r"[^\w.-]", "_", "-".join(parts)) + ".jsonl")


def show(summary: Mapping[str, Any], benchmark: Benchmark, console: Console) -> None:
    """The summary for people: counts, accuracies, and the papers' figures beside them."""
    console.print(
        f"{summary['title']}: {summary['questions']} questions, {summary['answered']} answered, "
        f"{summary['scored']} scored",
        highlight=False,
    )
    _show_skips(summary, console)
    notes = [
        ("asked_late", "asked at the video's end, which came before their time"),
        ("subtitles_left_out", "shown a part of their subtitles, as there was no room for all"),
    ]
    if not benchmark.judged:
        notes.append(("named_no_option", f"named no option ({benchmark.unnamed})"))
    for counted, note in notes:
        if summary[counted]:
            console.print(f"{note}: {summary[counted]}", highlight=False)
    if summary["kv_bytes"]:
        console.print(f"KV memory: {summary['kv_bytes'] / 1e6:.1f} MB a video", highlight=False)
    if summary["rows"]:
        table = Table("", "accuracy", "95 %", "questions")
        for row in summary["rows"]:
            interval = f"{row['low']:.1f} to {row['high']:.1f}"
            label = row["name"] if row["group"] == "task" else f"{row['group']}: {row['name']}"
            table.add_row(label, f"{row['accuracy']:.1f}", interval, str(row["questions"]))
        console.print(table)
    _show_published(summary, console)
    if summary["grade"] is not None:
        console.print(f"the judge's mark: {summary['grade']:.2f} of 5", highlight=False)
    elif benchmark.judged:
        console.print("no score: answers are graded by a language model; give --judge URL")
    for what in ("results", "predictions"):
        if summary[what]:
            console.print(f"{what}: {summary[what]}", highlight=False)


def _show_skips(summary: Mapping[str, Any], console: Console) -> None:
    for reason, count in summary["skipped"].items():
        console.print(f"skipped, {reason}: {count}", highlight=False)
    for skip in summary["skips"][:_SHOWN_SKIPS]:
        console.print(f"  {skip['id']}: {skip['detail']}", highlight=False, markup=False)
    if len(summary["skips"]) > _SHOWN_SKIPS:
        console.print(f"  … all are in {Path(summary['results']).stem}.summary.json")


def _show_published(summary: Mapping[str, Any], console: Console) -> None:
    table = Table("", "model", "budget", "accuracy", "from")
    found = summary["accuracy"]
    table.add_row(
        f"this run, {summary['policy']}",
        str(summary["model"]).rsplit("/", 1)[-1],
        f"{summary['budget_tokens']}, at most {summary['cap_tokens']}",
        "–" if found is None else f"{found:.1f} ({summary['low']:.1f} to {summary['high']:.1f})",
        "",
    )
    sources = list(dict.fromkeys(figure["source"] for figure in summary["published"]))
    for figure in summary["published"]:
        same = figure["budget"] and any(
            abs(figure["budget"] / summary[mine] - 1) < _NEAR
            for mine in ("budget_tokens", "cap_tokens")
        )
        part = figure["benchmark"].partition(" ")[2]
        table.add_row(
            f"{figure['method']} {f'({part})' if part else ''}".strip(),
            figure["model"],
            f"{figure['budget'] or '–'}{', as here' if same else ''}",
            f"{figure['accuracy']:.1f}",
            f"({sources.index(figure['source']) + 1})",
        )
    console.print(table)
    for number, source in enumerate(sources, 1):
        console.print(f"({number}) {source}", highlight=False)
    console.print(f"accuracy: {summary['accuracy_is']}; {summary['fps']:g} fps", highlight=False)
    if summary["published"] and not summary["published_for_this_model"]:
        console.print(f"Nothing is published for {summary['model']}: these are other models.")
