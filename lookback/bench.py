"""Runs one of the benchmarks and shows what it measured."""

import json
import sys

from rich.console import Console

from benchmarks import REGISTRY


def run(name: str, *, json_wanted: bool) -> int:
    """Report on stdout, progress on stderr; the exit status. `list` names the benchmarks."""
    if name == "list":
        for known, module in sorted(REGISTRY.items()):
            print(f"{known}: {(module.__doc__ or '').strip().splitlines()[0]}")
        return 0
    if name not in REGISTRY:
        known = ", ".join(sorted(REGISTRY))
        print(f"lookback: there is no benchmark {name!r}; there are {known}.", file=sys.stderr)
        return 2
    module = REGISTRY[name]
    console = Console(stderr=True)
    with console.status(name) as status:
        figures = module.run(lambda text: status.update(f"{name}: {text}"))
    if json_wanted:
        print(json.dumps(figures, indent=2))
    else:
        print(module.render(figures))
    return 0
