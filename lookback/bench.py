"""Runs one of the benchmarks and shows what it measured."""

import inspect
import json
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from benchmarks import BENCHMARKS
from benchmarks.errors import OptionError


def run(
    name: str, *, json_wanted: bool, options: Mapping[str, float | str | None] | None = None
) -> int:
    """Report on stdout, progress on stderr; the exit status. `list` names the benchmarks.

    `options`: values by the name of the benchmark's own parameter; None leaves its default.
    """
    if name == "list":
        for known in sorted(BENCHMARKS):
            print(f"{known}: {_description(known)}")
        return 0
    if name not in BENCHMARKS:
        known = ", ".join(sorted(BENCHMARKS))
        print(f"lookback: there is no benchmark {name!r}; there are {known}.", file=sys.stderr)
        return 2
    chosen: dict[str, Any] = {k: v for k, v in (options or {}).items() if v is not None}
    taken = inspect.signature(BENCHMARKS[name]).parameters
    for option in chosen:
        if option not in taken:
            takers = ", ".join(
                known
                for known in sorted(BENCHMARKS)
                if option in inspect.signature(BENCHMARKS[known]).parameters
            )
            print(f"lookback: {name} takes no --{option}; {takers} does.", file=sys.stderr)
            return 2
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task(_description(name), total=None)

        def tell(text: str) -> None:
            if console.is_terminal:
                progress.update(task, description=f"{name}: {text}")
            else:
                print(f"{name}: {text}", file=sys.stderr, flush=True)

        if "progress" in taken:
            chosen["progress"] = tell
        try:
            figures = BENCHMARKS[name](**chosen)
        except OptionError as error:
            print(f"lookback: {error}.", file=sys.stderr)
            return 2
    if json_wanted:
        print(json.dumps(figures, indent=2))
    else:
        shown = getattr(_module(name), "shown", None)  # what a benchmark shows of very much
        show(shown(figures) if shown else figures, Console())
    return 0


def show(figures: dict[str, Any], console: Console) -> None:
    """Single figures in a list, and each list of records as a table."""
    for name, value in figures.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            table = Table(*value[0], title=name)
            for record in value:
                table.add_row(*(_shown(record.get(column)) for column in value[0]))
            console.print(table)
        else:
            console.print(f"{name}: {_shown(value)}", highlight=False)


def _module(name: str) -> ModuleType:
    return sys.modules[BENCHMARKS[name].__module__]


def _description(name: str) -> str:
    return str(getattr(_module(name), "DESCRIPTION", name))


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
