"""Finished cells in a file, a line of JSON each, so that a run goes on where it was interrupted."""

import json
from collections.abc import Iterable
from pathlib import Path

from benchmarks.errors import OptionError
from benchmarks.recall.cell import Cell, Result


class Ledger:
    """The results of all runs that wrote to `path`. Without a path nothing is kept."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._results: dict[str, Result] = {}
        if path is not None:
            self._read(path)

    def _read(self, path: Path) -> None:
        """The whole lines; one that was cut off when a run was killed is measured again.

        Raises OptionError where the file is something else."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            text = path.read_text() if path.exists() else ""
            whole = text[: text.rfind("\n") + 1]
            for number, line in enumerate(whole.splitlines(), 1):
                try:
                    result = Result.of(json.loads(line))
                except (ValueError, KeyError, TypeError) as error:
                    raise OptionError(
                        f"{path} line {number} is no result of this benchmark: move the file away "
                        "or choose another --out"
                    ) from error
                self._results[result.cell.key] = result
            if whole != text:
                path.write_text(whole)
            path.open("a").close()  # whether it can be written, before hours are spent
        except OSError as error:
            raise OptionError(f"{path} cannot be written: {error}") from error

    def __contains__(self, cell: Cell) -> bool:
        return cell.key in self._results

    def __getitem__(self, cell: Cell) -> Result:
        return self._results[cell.key]

    def add(self, results: Iterable[Result]) -> None:
        """Keep them."""
        lines = []
        for result in results:
            self._results[result.cell.key] = result
            lines.append(json.dumps(result.record()) + "\n")
        if self._path is not None:
            with self._path.open("a") as file:
                file.write("".join(lines))
