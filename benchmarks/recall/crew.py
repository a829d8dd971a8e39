"""Streams sat through by several processes, each with an engine of its own."""

import multiprocessing
import pickle
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from benchmarks.recall.art import NOTO, sprites
from benchmarks.recall.cell import Cell, Policies, Result
from benchmarks.recall.scenario import SCENARIOS
from benchmarks.recall.sitting import sit
from model_worker.engine import Engine


@dataclass(frozen=True)
class Setting:
    """What all streams of a run share; `art` is of the scenario "unseen", see `sprites`."""

    model: str
    art: str
    policies: Policies
    cache: Path | None
    threads: int | None


def sit_all(
    setting: Setting, engine: Engine, streams: Sequence[Sequence[Cell]], jobs: int
) -> Iterator[list[Result]]:
    """The results of each stream's cells, as they come. One job is done by this process."""
    if min(jobs, len(streams)) < 2 or not _can_travel(setting.policies):
        for cells in streams:
            yield _sit(engine, setting, cells)
        return
    context = multiprocessing.get_context("spawn")
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(jobs, context, initializer=_begin, initargs=(setting,))
    try:
        pending = [pool.submit(_sit_here, setting, cells) for cells in streams]
        for done in as_completed(pending):
            yield done.result()
    except BaseException:  # what they are at would take minutes
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _can_travel(policies: Policies) -> bool:
    """Whether another process can be given these policies: those typed in by hand cannot."""
    try:
        pickle.dumps(policies)
    except (pickle.PicklingError, AttributeError, TypeError):
        return False
    return all(
        getattr(each, "__module__", type(each).__module__) != "__main__"
        for each in policies.values()
    )


_engine: Engine | None = None


def _begin(setting: Setting) -> None:
    global _engine
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    _engine = Engine.load(setting.model, threads=setting.threads)


def _sit_here(setting: Setting, cells: Sequence[Cell]) -> list[Result]:
    assert _engine is not None
    return _sit(_engine, setting, cells)


def _sit(engine: Engine, setting: Setting, cells: Sequence[Cell]) -> list[Result]:
    unseen = SCENARIOS[cells[0].stream.scenario].unseen_art
    drawn = sprites(setting.art if unseen else NOTO)
    return sit(engine, cells, drawn, setting.policies, setting.cache)
