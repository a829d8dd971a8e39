"""Runs one of the benchmarks and shows what it measured."""

import json
import sys
from typing import Any

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from benchmarks import BENCHMARKS


def run(name: str, *, json_wanted: bool) -> int:
    """Report on stdout, progress on stderr; the exit status. `list` names the benchmarks."""
    if name == "list":
        for known in sorted(BENCHMARKS):
            print(f"{known}: {_description(known)}")
        return 0
    if name not in BENCHMARKS:
        known = ", ".join(sorted(BENCHMARKS))
        print(f"lookback: there is no benchmark {name!r}; there are {known}.", file=sys.stderr)
        return 2
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        progress.add_task(_description(name), total=None)
        figures = BENCHMARKS[name]()
    if json_wanted:
        print(json.dumps(figures, indent=2))
    else:
        show(figures, Console())
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


def _description(name: str) -> str:
    module = sys.modules[BENCHMARKS[name].__module__]
    return str(getattr(module, "DESCRIPTION", name))


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
