"""A benchmark from its files to a summary: what is left to ask, asked video by video."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from evaluations.benchmark import Benchmark
from evaluations.errors import ChoiceError, EvalError
from evaluations.item import Answered, Item, Skip
from evaluations.results import Results
from evaluations.stream import Streaming, watch
from evaluations.summary import summarise
from model_worker.engine import Engine

Tell = Callable[[str], None]
Grade = Callable[[Results, Sequence[Item], Tell], list[Skip]]


@dataclass(frozen=True)
class Options:
    """data: the benchmark's folder. out: the results file. None: as suits benchmark or model."""

    data: Path
    out: Path
    fps: float | None = None
    limit: int | None = None
    tasks: tuple[str, ...] = ()
    subtitles: bool = False
    policy: str | None = None
    budget_tokens: int | None = None


def select(benchmark: Benchmark, options: Options) -> tuple[list[Item], list[Skip]]:
    """The questions that are to be asked, and the rows that cannot be. Raises EvalError."""
    if options.subtitles and not benchmark.has_subtitles:
        raise ChoiceError(f"{benchmark.title} has no subtitles: leave --subtitles out")
    if options.limit is not None and options.limit < 1:
        raise ChoiceError("--limit is 1 or more: how many questions are asked")
    items: dict[str, Item] = {}
    skips: list[Skip] = []
    for found in benchmark.read(options.data, options.subtitles):
        if isinstance(found, Skip):
            skips.append(found)
        elif found.id in items:
            again = "another question before it has the same id"
            skips.append(Skip(found.id, "duplicate id", again))
        else:
            items[found.id] = found
    chosen = _of_tasks(list(items.values()), options.tasks or benchmark.tasks)
    if not chosen and not skips:
        raise EvalError(f"{options.data} has no questions of {benchmark.title}")
    return chosen[: options.limit], skips


def _of_tasks(items: list[Item], wanted: tuple[str, ...]) -> list[Item]:
    """Those whose task or one of whose groups is wanted, whatever the case."""
    if not wanted or not items:
        return items
    names = {name.lower() for name in wanted}
    known = {name for item in items for name in _names(item)}
    if missing := names - {name.lower() for name in known}:
        listed = ", ".join(sorted(known))
        raise ChoiceError(
            f"no question has the task {', '.join(sorted(missing))}; there are {listed}"
        )
    return [item for item in items if names & {name.lower() for name in _names(item)}]


def _names(item: Item) -> set[str]:
    return {item.task, *item.groups.values()}


def describe(
    benchmark: Benchmark, engine: Engine, options: Options, extra: Mapping[str, Any]
) -> dict[str, Any]:
    """What makes results comparable, as it stands at the head of their file.

    Raises ChoiceError for a rate, budget or policy that cannot be.
    """
    fps = benchmark.fps if options.fps is None else options.fps
    if not 0 < fps < float("inf"):
        raise ChoiceError("--fps is above 0: how many frames a second are watched")
    budget = options.budget_tokens or engine.default_budget_tokens
    try:
        engine.open_session(budget_tokens=budget, policy=options.policy, history_turns=0).close()
    except ValueError as error:
        raise ChoiceError(str(error)) from error
    return {
        "benchmark": benchmark.name,
        "model": engine.name,
        **extra,
        "weights": engine.identity.weights,
        "template": engine.identity.template,
        "policy": options.policy or engine.default_policy,
        "positions": engine.default_positions,
        "budget_tokens": budget,
        "cap_tokens": engine.cap_tokens(budget),
        "fps": fps,
        "max_tokens": benchmark.max_tokens,
        "subtitles": options.subtitles,
    }


def run(
    benchmark: Benchmark,
    engine: Engine,
    options: Options,
    *,
    extra: Mapping[str, Any] | None = None,
    grade: Grade | None = None,
    tell: Tell = lambda text: None,
) -> dict[str, Any]:
    """Ask what is left, and sum up. `extra` is further said of the run. Raises EvalError."""
    items, skips = select(benchmark, options)
    about = describe(benchmark, engine, options, extra or {})
    streaming = Streaming(
        about["fps"], benchmark.max_tokens, about["budget_tokens"], options.policy
    )
    with Results(options.out, about) as results:
        if results.mended:
            tell(f"the last line of {options.out} was cut off; its question is asked again")
        for item in items:
            _check_prompt(results, item)
        left = [item for item in items if item.id not in results.records]
        if len(left) < len(items):
            tell(f"{len(items) - len(left)} of {len(items)} questions are answered already")
        skips += _ask(benchmark, engine, left, streaming, results, tell)
        if grade is not None:
            skips += grade(results, items, tell)
        summary = summarise(benchmark, about, items, results.records, results.grades, skips)
        summary["results"] = str(options.out)
        summary["predictions"] = _write_predictions(benchmark, results, items)
        text = json.dumps(summary, indent=2, ensure_ascii=False) + "\n"
        results.beside(".summary.json").write_text(text, "utf-8")
    return summary


def _ask(
    benchmark: Benchmark,
    engine: Engine,
    items: Sequence[Item],
    streaming: Streaming,
    results: Results,
    tell: Tell,
) -> list[Skip]:
    videos: dict[Path, list[Item]] = {}
    for item in items:
        videos.setdefault(item.video, []).append(item)
    skips, done = [], 0
    for number, (video, about_it) in enumerate(videos.items(), 1):
        tell(f"video {number} of {len(videos)}, {video.name}; {done} of {len(items)} answered")
        try:
            for became in watch(engine, about_it, streaming):
                if isinstance(became, Skip):
                    skips.append(became)
                    tell(f"skipped {became.id}: {became.reason}: {became.detail}")
                else:
                    results.add(_record(benchmark, became))
                    done += 1
        except (torch.OutOfMemoryError, ArithmeticError) as error:
            raise EvalError(
                f"{video.name} cannot be watched ({error}); what is answered is kept in "
                f"{results.path}"
            ) from error
    return skips


def _record(benchmark: Benchmark, became: Answered) -> dict[str, Any]:
    item = became.item
    verdict = benchmark.judge(item, became.responses)
    return {
        "id": item.id,
        "task": item.task,
        "groups": dict(item.groups),
        "video": item.video.name,
        "prompt": _digest(item),
        "times": list(item.times[: len(became.responses)]),
        "asked_at": became.asked_at,
        "frames": became.frames,
        "late": became.late,
        "kv_bytes": became.kv_bytes,
        "subtitles": list(became.subtitles),
        "responses": list(became.responses),
        "chosen": verdict.chosen,
        "answer": item.answer,
        "score": verdict.score,
        "fields": dict(item.fields),
    }


def _digest(item: Item) -> str:
    asked = json.dumps([item.prompt, item.answer, item.times, item.video.name])
    return hashlib.sha256(asked.encode()).hexdigest()[:12]


def _check_prompt(results: Results, item: Item) -> None:
    record = results.records.get(item.id)
    if record is not None and record.get("prompt") != _digest(item):
        raise EvalError(
            f"the question {item.id} in {results.path} was another one: the benchmark's files have "
            "changed since; take another --out"
        )


def _write_predictions(benchmark: Benchmark, results: Results, items: Sequence[Item]) -> str | None:
    records = [results.records[item.id] for item in items if item.id in results.records]
    made = benchmark.predictions(records) if records else None
    if made is None:
        return None
    path = results.beside(made[0])
    path.write_text(made[1], "utf-8")
    return str(path)
