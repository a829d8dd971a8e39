"""StreamRecall: what a bounded memory keeps of a stream, by policy, budget, age and kind.

Streams of known content are watched frame by frame through the engine, and questions about the
present, the recent and the distant past are asked on the way. What is asked and how to read what
comes out: docs/streamrecall.md.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, get_args

import torch

from benchmarks.errors import OptionError
from benchmarks.recall.art import NOTO, drawn
from benchmarks.recall.budget import BUDGETS, FULL, parse
from benchmarks.recall.cell import Cell, Policies, StreamName
from benchmarks.recall.crew import Setting, sit_all
from benchmarks.recall.download import openmoji
from benchmarks.recall.ledger import Ledger
from benchmarks.recall.plot import by_age, by_budget
from benchmarks.recall.report import shown
from benchmarks.recall.rows import by_scenario, paired, rows
from benchmarks.recall.scenario import SCENARIOS
from model_worker.engine import Engine, ModelError
from model_worker.memory.policies import DEFAULT, POLICIES
from model_worker.memory.policies.base import CompressionPolicy
from model_worker.settings import SHIPPED_MODEL
from model_worker.timeline import Positions

__all__ = ["DESCRIPTION", "run", "shown"]

DESCRIPTION = "what a bounded memory keeps: accuracy by policy, budget, age and kind of question"

MINUTES: Final = (1.0, 5.0, 15.0, 60.0)
QUICK_MINUTES: Final = (1.0, 5.0)
QUICK_BUDGETS: Final = (FULL, "1/8", "1/16", "1/32")
QUICK_POLICIES: Final = (
    "infinipot_v", "novelty", "tar", "van", "uniform", "recency", "streammem", "hermes",
)  # fmt: skip
OUT: Final = Path("runs/recall/recall.json")

_QUESTIONS: Final = {1.0: 22, 5.0: 44}  # of a stream of so many minutes
_MORE_QUESTIONS: Final = 88  # of a longer one
_STREAMS: Final = {1.0: 8, 5.0: 8, 15.0: 4}  # of so many minutes, of each scenario
_FEWER_STREAMS: Final = 2  # of longer ones
_QUICK_STREAMS: Final = 1
_PART_MINUTES: Final = 240  # of stream and session

Named = str | Sequence[str]
GivenPolicies = Named | Mapping[str, CompressionPolicy | Callable[[], CompressionPolicy] | None]


def run(
    policies: GivenPolicies | None = None,
    budgets: Named | None = None,
    minutes: float | str | Sequence[float] | None = None,
    streams: int | None = None,
    scenarios: Named | None = None,
    model: str | Path = SHIPPED_MODEL,
    positions: Positions | None = None,
    seed: int = 0,
    out: str | Path | None = OUT,
    art: str = NOTO,
    quick: bool = False,
    questions: int | None = None,
    jobs: int | None = None,
    cache: str | Path | None = None,
    threads: int | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Measure what is not in the file beside `out` yet, and report on all that was asked for.

    `policies`, `budgets`, `minutes` and `scenarios` are names, as a list or with commas between
    them; from Python, `policies` can be a mapping from names to policies (copied for each session)
    or to what makes them, None being the policy of that name. `streams` is how many of each
    scenario and length. `art` "openmoji", or the file of a font of colour emoji, adds the scenario
    "unseen". `cache` is a folder to keep the vision tower's tokens in.
    `out` None keeps nothing. Interrupted, it returns what it has. Raises OptionError.
    """
    made = _policies(policies, quick)
    shares = _names(budgets) or (QUICK_BUDGETS if quick else BUDGETS)
    for share in shares:
        parse(share)
    lengths = _lengths(minutes) or (QUICK_MINUTES if quick else MINUTES)
    scenes = _scenarios(scenarios, art)
    font, style = _art(art, progress)
    setting = Setting(str(model), font, made, _folder(cache), threads)
    count = None if streams is None else _count("streams", streams, 1)
    count = count or (_QUICK_STREAMS if quick else None)
    asked = None if questions is None else _count("questions", questions, 1)
    jobs = None if jobs is None else _count("jobs", jobs, 1)
    _count("seed", seed, 0, least=0)
    if positions is not None and positions not in get_args(Positions):
        known = ", ".join(get_args(Positions))
        raise OptionError(f"positions must be one of {known}, not {positions!r}")
    path = None if out is None else Path(out)
    ledger = Ledger(None if path is None else path.with_suffix(".jsonl"))
    try:
        engine = Engine.load(model, threads=threads)
    except ModelError as error:
        raise OptionError(str(error)) from error
    name, place = f"{engine.name}@{engine.adapter.identity[:12]}", positions
    wanted = [
        [
            Cell(name, *each, place or engine.default_positions, stream, look)
            for each in _pairs(setting.policies, shares)
        ]
        for stream in _streams(scenes, lengths, count, seed, asked)
        for look in (style if SCENARIOS[stream.scenario].unseen_art else NOTO,)
    ]
    interrupted = _measure(setting, engine, wanted, ledger, jobs, progress)
    results = [ledger[cell] for cells in wanted for cell in cells if cell in ledger]
    figures: dict[str, Any] = {
        "benchmark": "recall",
        "model": engine.name,
        "identity": engine.adapter.identity,
        "device": str(engine.device),
        "positions": positions or engine.default_positions,
        "tokens_per_frame": engine.tokens_per_frame,
        "art": style,
        "seed": seed,
        "streams": len(wanted),
        "interrupted": interrupted,
        "rows": rows(results),
        "scenarios": by_scenario(results),
        "paired": [*paired(results, DEFAULT), *paired(results, FULL)],
    }
    if path is not None:
        path.write_text(json.dumps(figures, indent=1) + "\n")
        path.with_name(f"{path.stem}-budget.svg").write_text(by_budget(figures["rows"]))
        path.with_name(f"{path.stem}-age.svg").write_text(by_age(figures["rows"]))
    return figures


def _measure(
    setting: Setting,
    engine: Engine,
    wanted: Sequence[Sequence[Cell]],
    ledger: Ledger,
    jobs: int | None,
    progress: Callable[[str], None],
) -> bool:
    """Fill the ledger. Returns whether that was interrupted."""
    missing = [[cell for cell in cells if cell not in ledger] for cells in wanted]
    parts = [part for cells in missing for part in _parts(cells)]
    progress(f"{sum(map(bool, missing))} of {len(wanted)} streams to watch")
    # A model that leaves a core to others is loaded by two processes.
    jobs = jobs or (2 if _is_light(engine) else 1)
    try:
        for number, results in enumerate(sit_all(setting, engine, parts, jobs), 1):
            ledger.add(results)
            stream = results[0].cell.stream
            progress(f"{number} of {len(parts)} parts ({stream.scenario}, {stream.minutes:g} min)")
    except KeyboardInterrupt:
        return True
    return False


def _parts(cells: Sequence[Cell]) -> Iterable[Sequence[Cell]]:
    """The cells of a stream, no more at a time than is worth measuring again when it is
    interrupted, and than there is memory for."""
    if cells:
        most = max(2, int(_PART_MINUTES / cells[0].stream.minutes))
        for first in range(0, len(cells), most):
            yield cells[first : first + most]


def _is_light(engine: Engine) -> bool:
    return engine.device.type == "cpu" and torch.get_num_threads() == 1


def _pairs(policies: Iterable[str], budgets: Sequence[str]) -> list[tuple[str, str]]:
    """Policy and budget; whatever the policy, a full memory is the same."""
    full = [(FULL, FULL)] if FULL in budgets else []
    smaller = [budget for budget in budgets if budget != FULL]
    return full + [(policy, budget) for policy in policies if policy != FULL for budget in smaller]


def _streams(
    scenarios: Sequence[str],
    minutes: Sequence[float],
    count: int | None,
    seed: int,
    questions: int | None,
) -> list[StreamName]:
    counts = {each: count or _STREAMS.get(each, _FEWER_STREAMS) for each in minutes}
    asked = {each: questions or _QUESTIONS.get(each, _MORE_QUESTIONS) for each in minutes}
    return [
        StreamName(scenario, each, number, seed, asked[each])
        for number in range(max(counts.values()))
        for each in sorted(minutes, reverse=True)  # the longest must not be what is left
        if number < counts[each]
        for scenario in scenarios
    ]


def _policies(given: GivenPolicies | None, quick: bool) -> Policies:
    """By name; those that are known by their name alone have no maker."""
    if given is None:
        names = [name for name in QUICK_POLICIES if name in POLICIES] if quick else [*POLICIES]
        return dict.fromkeys(names)
    made: Policies = dict(given) if isinstance(given, Mapping) else dict.fromkeys(_names(given))
    if not made:
        raise OptionError("no policies are named: leave --policies out for all of them")
    for name, maker in made.items():
        if maker is None and name != FULL and name not in POLICIES:
            known = ", ".join(sorted(POLICIES))
            raise OptionError(f"there is no policy {name!r}; there are {known}")
    return made


def _scenarios(given: Named | None, art: str) -> tuple[str, ...]:
    if given is None:
        return tuple(
            name for name, scene in SCENARIOS.items() if not scene.unseen_art or art != NOTO
        )
    names = _names(given)
    for name in names:
        if name not in SCENARIOS:
            raise OptionError(f"there is no scenario {name!r}; there are {', '.join(SCENARIOS)}")
        if SCENARIOS[name].unseen_art and art == NOTO:
            raise OptionError(f"the scenario {name!r} needs other art: add --art openmoji")
    return names


def _art(art: str, progress: Callable[[str], None]) -> tuple[str, str]:
    """What `sprites` takes, and the name that results bear."""
    if art in (NOTO, ""):
        return NOTO, NOTO
    if art == "openmoji":
        return str(openmoji(progress)), art
    path = Path(art)
    if not path.is_file():
        raise OptionError(f"art must be noto, openmoji or the file of a font, not {art!r}")
    drawn(path)  # whether it can be
    return str(path), f"{path.stem}@{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"


def _names(given: Named | None) -> tuple[str, ...]:
    parts = given.split(",") if isinstance(given, str) else (given or ())
    return tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))


def _lengths(given: float | str | Sequence[float] | None) -> tuple[float, ...]:
    if given is None:
        return ()
    parts = given.split(",") if isinstance(given, str) else given
    try:
        lengths = [float(each) for each in (parts if isinstance(parts, Sequence) else [parts])]
    except ValueError:
        lengths = []
    if not lengths or not all(0.5 <= each <= 600 for each in lengths):
        raise OptionError(f"minutes must be numbers from 0.5 to 600 as 1,5,15, not {given!r}")
    return tuple(dict.fromkeys(lengths))


def _count(name: str, given: float | None, default: int, least: int = 1) -> int:
    if given is None:
        return default
    if not (math.isfinite(given) and given >= least and given == int(given)):
        raise OptionError(f"{name} must be a whole number of at least {least}, not {given:g}")
    return int(given)


def _folder(given: str | Path | None) -> Path | None:
    return None if given is None else Path(given)
