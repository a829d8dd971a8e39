"""Plots are well-formed SVG with a line for each policy."""

from xml.etree import ElementTree

from benchmarks.recall.plot import by_age, by_budget
from benchmarks.recall.rows import rows
from tests.benchmarks.recall.test_rows import result

_SVG = "{http://www.w3.org/2000/svg}"


def test_lines_and_legend() -> None:
    made = rows(
        [
            result("full", "yyyy", "full"),
            *(result("tar", "yyyn", budget) for budget in ("1/8", "1/16")),
            *(result("<mine>", "ynnn", budget) for budget in ("1/8", "1/16")),
        ]
    )
    for draw, panels, lines in ((by_budget, 2, 2), (by_age, 2, 3)):
        svg = ElementTree.fromstring(draw(made))
        texts = [text.text for text in svg.iter(f"{_SVG}text")]
        assert {"full", "tar", "<mine>"} <= set(texts)
        assert len(svg.findall(f"{_SVG}g")) == panels
        assert len(list(svg.iter(f"{_SVG}polyline"))) == panels * lines


def test_a_line_goes_through_its_values() -> None:
    svg = ElementTree.fromstring(by_budget(rows([result("tar", "yn"), result("tar", "yy", "1/2")])))
    first = next(svg.iter(f"{_SVG}polyline"))
    points = [tuple(map(float, each.split(","))) for each in first.attrib["points"].split()]
    assert [y for _, y in sorted(points)] == [0.0, 120.0]  # 1/2 all right, then 1/8 half right


def test_nothing_measured_is_an_empty_picture() -> None:
    for draw in (by_budget, by_age):
        ElementTree.fromstring(draw([]))
