"""What the faults cost, as a table: printed at the end, and as JSON where a file is named."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Figure:
    """fault: what was done. told: what its user was told. back: seconds until the service answered
    again. lost: what was not there any more."""

    fault: str
    told: str
    back: float
    lost: str


@dataclass
class Figures:
    """Those of one run."""

    rows: list[Figure] = field(default_factory=list)

    def note(self, fault: str, told: str, back: float, lost: str) -> None:
        self.rows.append(Figure(fault, told, round(back, 1), lost))

    def write(self, path: Path) -> None:
        path.write_text(json.dumps([asdict(row) for row in self.rows], indent=2) + "\n")

    def lines(self) -> list[str]:
        """As a table in Markdown."""
        head = ["| fault | the user is told | back after | lost |", "|---|---|---|---|"]
        return head + [f"| {r.fault} | {r.told} | {r.back:.1f} s | {r.lost} |" for r in self.rows]
