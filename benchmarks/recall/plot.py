"""Accuracy against budget and against age, as SVG."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, Final

from benchmarks.recall.budget import FULL, parse
from benchmarks.recall.rows import ALL

_Row = Mapping[str, Any]

_WIDTH: Final = 300  # of a panel's axes, in pixels
_HEIGHT: Final = 240
_LEFT: Final = 52
_TOP: Final = 40
_BELOW: Final = 46
_BETWEEN: Final = 24
_LINE: Final = 18
_LEGEND: Final = 170
_COLOURS: Final = (
    "#d62728", "#1f77b4", "#2ca02c", "#ff7f0e", "#9467bd", "#8c564b", "#e377c2", "#17becf",
    "#7f7f7f", "#bcbd22",
)  # fmt: skip
_DASHES: Final = ("", "5 3", "2 2")
_AGES: Final = ("present", "recent", "distant")


@dataclass(frozen=True)
class Panel:
    """One diagram: the names along x, and of each policy (value, low, high) at some of them."""

    title: str
    along: Sequence[str]
    lines: Mapping[str, Mapping[str, tuple[float, float, float]]]
    level: tuple[float, ...] = field(default=())  # of the full memory


def by_budget(rows: Sequence[_Row]) -> str:
    """A panel for each length of stream, and one for its distant past."""
    panels = []
    for minutes in dict.fromkeys(row["minutes"] for row in rows):
        for age in (ALL, "distant"):
            chosen = _chosen(rows, minutes=minutes, age=age, kind=ALL)
            smaller = [row for row in chosen if row["budget"] != FULL]
            if not smaller:
                continue
            along = sorted({row["budget"] for row in smaller}, key=parse, reverse=True)
            title = f"{minutes:g} min" + ("" if age == ALL else f", {age} past")
            level = tuple(row["accuracy"] for row in chosen if row["budget"] == FULL)
            panels.append(Panel(title, along, _lines(smaller, "budget"), level))
    return draw(panels, "share of the stream's tokens")


def by_age(rows: Sequence[_Row]) -> str:
    """A panel for each budget, of the longest streams."""
    longest = max((row["minutes"] for row in rows), default=0)
    of_age = [row for age in _AGES for row in _chosen(rows, minutes=longest, age=age, kind=ALL)]
    budgets = {row["budget"] for row in of_age} - {FULL}
    panels = []
    for budget in sorted(budgets, key=parse, reverse=True):
        chosen = [row for row in of_age if row["budget"] in (budget, FULL)]
        panels.append(Panel(f"{longest:g} min, {budget}", _AGES, _lines(chosen, "age")))
    return draw(panels, "age of what is asked of")


def _chosen(rows: Sequence[_Row], **wanted: object) -> list[_Row]:
    return [
        row
        for row in rows
        if row["accuracy"] is not None and all(row[name] == value for name, value in wanted.items())
    ]


def _lines(rows: Sequence[_Row], along: str) -> dict[str, dict[str, tuple[float, float, float]]]:
    lines: dict[str, dict[str, tuple[float, float, float]]] = {}
    for row in rows:
        place = lines.setdefault(row["policy"], {})
        place[row[along]] = row["accuracy"], row["low"], row["high"]
    return lines


def draw(panels: Sequence[Panel], label: str) -> str:
    """The panels in a row, with a legend."""
    named = dict.fromkeys(policy for panel in panels for policy in panel.lines)
    policies = [FULL, *(policy for policy in named if policy != FULL)]
    rows = -(-len(panels) // 2)
    wide = _LEFT + min(2, len(panels)) * (_WIDTH + _LEFT + _BETWEEN) + _LEGEND
    high = max(rows * (_TOP + _HEIGHT + _BELOW), _TOP + _LINE * (len(policies) + 1))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high}" '
        f'viewBox="0 0 {wide} {high}" font-family="sans-serif" font-size="12">',
        f'<rect width="{wide}" height="{high}" fill="white"/>',
    ]
    styles = {policy: _style(policy, place) for place, policy in enumerate(policies)}
    for number, panel in enumerate(panels):
        x = _LEFT + number % 2 * (_WIDTH + _LEFT + _BETWEEN)
        y = _TOP + number // 2 * (_TOP + _HEIGHT + _BELOW)
        parts += [f'<g transform="translate({x} {y})">', *_panel(panel, styles, label), "</g>"]
    for place, (policy, style) in enumerate(styles.items()):
        x, y = wide - _LEGEND + 10, _TOP + _LINE * place
        parts.append(f'<path d="M{x} {y}h24" {style}/>')
        parts.append(f'<text x="{x + 30}" y="{y + 4}">{escape(policy)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _style(policy: str, place: int) -> str:
    if policy == FULL:
        return 'fill="none" stroke="black" stroke-width="1.5" stroke-dasharray="6 4"'
    colour, dash = _COLOURS[place % len(_COLOURS)], _DASHES[place // len(_COLOURS) % len(_DASHES)]
    return f'fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"'


def _panel(panel: Panel, styles: Mapping[str, str], label: str) -> list[str]:
    def across(name: str) -> float:
        return (panel.along.index(name) + 0.5) * _WIDTH / len(panel.along)

    def down(share: float) -> float:
        return _HEIGHT * (1 - share)

    parts = [f'<text x="{_WIDTH / 2}" y="-14" text-anchor="middle">{escape(panel.title)}</text>']
    for percent in range(0, 101, 20):
        y = down(percent / 100)
        parts.append(f'<path d="M0 {y}H{_WIDTH}" stroke="#ddd"/>')
        parts.append(f'<text x="-8" y="{y + 4}" text-anchor="end">{percent} %</text>')
    for name in panel.along:
        x, y = across(name), _HEIGHT + 18
        parts.append(f'<text x="{x:.1f}" y="{y}" text-anchor="middle">{escape(name)}</text>')
    x, y = _WIDTH / 2, _HEIGHT + 36
    parts.append(f'<text x="{x}" y="{y}" text-anchor="middle" fill="#555">{escape(label)}</text>')
    parts += [
        f'<path d="M0 {down(level):.1f}H{_WIDTH}" fill="none" stroke="black" '
        'stroke-width="1.5" stroke-dasharray="6 4"><title>full</title></path>'
        for level in panel.level
    ]
    for place, (policy, values) in enumerate(panel.lines.items()):
        shift = 3.0 * (place - (len(panel.lines) - 1) / 2)  # so that intervals lie side by side
        points = [
            (across(name) + shift, down(middle), down(low), down(high))
            for name, (middle, low, high) in values.items()
        ]
        parts += _line(policy, points, styles[policy])
    return parts


def _line(
    policy: str, points: Sequence[tuple[float, float, float, float]], style: str
) -> list[str]:
    """A line through points (x, y, y of the interval's ends), with the interval at each."""
    through = " ".join(f"{x:.1f},{y:.1f}" for x, y, _, _ in points)
    thin = style.replace('"2"', '"1"')
    parts = [f'<polyline points="{through}" {style}><title>{escape(policy)}</title></polyline>']
    parts += [f'<path d="M{x:.1f} {low:.1f}V{high:.1f}" {thin}/>' for x, _, low, high in points]
    return parts
