"""Sessions in lock-step say what each says alone, whatever was kept on disk."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from benchmarks.recall.art import noto
from benchmarks.recall.budget import BUDGETS
from benchmarks.recall.camera import Camera
from benchmarks.recall.cell import Cell, Result, StreamName
from benchmarks.recall.questions import examine
from benchmarks.recall.sitting import sit, words
from model_worker.engine import Engine
from model_worker.memory.policies.recency import Recency
from model_worker.settings import SHIPPED_MODEL

STREAM = StreamName("busy", 0.75, 0, 0, 12)


def cell(policy: str, budget: str) -> Cell:
    return Cell("m", policy, budget, "compact", STREAM, "noto")


CELLS = [cell("full", "full"), *(cell(name, "1/4") for name in ("infinipot_v", "tar", "recency"))]


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.load(SHIPPED_MODEL, threads=1)


@pytest.fixture(scope="module")
def together(engine: Engine) -> list[Result]:
    return sit(engine, CELLS, noto())


def answers(results: Sequence[Result]) -> list[object]:
    """All but the times."""
    return [replace(each, frame_seconds=0, pass_seconds=0) for each in results]


def test_each_is_asked_all_and_costs_something(together: list[Result]) -> None:
    asked = examine(STREAM.script(), STREAM.questions)
    for result in together:
        assert [(each.kind, each.second) for each in result.asked] == [
            (question.kind, question.second) for question in asked
        ]
        assert result.frames == 45
        assert result.frame_seconds > result.pass_seconds
    full, *small = together
    assert sum(each.right for each in full.asked) >= 0.7 * len(asked)
    assert (full.passes, full.cap_tokens) == (0, 46 * 9)
    assert len({each.kv_bytes for each in small}) == 1
    assert small[0].visual_bytes == 101 * (full.visual_bytes // full.cap_tokens)
    assert {each.mark_bytes for each in together} == {0}
    assert small[0].passes > 10


def test_alone_each_says_the_same(engine: Engine, together: list[Result]) -> None:
    for one, result in zip(CELLS[:2], together, strict=False):
        assert answers(sit(engine, [one], noto())) == answers([result])


def test_what_is_on_disk_changes_nothing(
    engine: Engine, together: list[Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert answers(sit(engine, CELLS[:2], noto(), cache=tmp_path)) == answers(together[:2])
    (kept,) = tmp_path.iterdir()
    monkeypatch.delattr(Camera, "picture")  # nothing is drawn again
    again = sit(engine, CELLS[:2], noto(), cache=tmp_path)
    assert answers(again) == answers(together[:2])
    assert again[0].frame_seconds > 0
    assert list(tmp_path.iterdir()) == [kept]


def test_memory_is_given_back(engine: Engine) -> None:
    assert engine.pool.used_tokens == 0


def test_what_has_no_room_says_so_and_the_others_go_on(engine: Engine) -> None:
    results = sit(engine, [cell("tar", "1/32"), cell("tar", "1/2")], noto())
    assert "less than a frame of 9 tokens" in results[0].note
    assert results[0].asked == []
    assert results[1].note == ""
    assert len(results[1].asked) == 12
    refused = sit(engine, [cell("infinipot_v", "1/16")], noto())[0]  # 25: 16 and a block of 9
    assert "raise budget_tokens" in refused.note
    assert refused.cap_tokens == 25


@dataclass(frozen=True)
class Remembering(Recency):
    """A policy with a state: two sessions that shared one would disturb each other."""

    calls: list[int] = field(default_factory=list)

    def recent_frames(self, cap_tokens: int, budget: int, tokens_per_frame: int) -> int:
        self.calls.append(1)
        return super().recent_frames(cap_tokens, budget, tokens_per_frame)


def test_each_session_has_a_policy_of_its_own(engine: Engine, together: list[Result]) -> None:
    mine, made = Remembering(), list[Remembering]()

    def make() -> Remembering:
        made.append(Remembering())
        return made[-1]

    cells = [cell("mine", "1/4"), cell("made", "1/4"), cell("made", "1/2")]
    results = sit(engine, cells, noto(), {"mine": mine, "made": make})
    assert mine.calls == []
    assert len(made) == 2
    assert [each.said for each in results[0].asked] == [each.said for each in results[1].asked]
    assert results[0].asked == together[3].asked  # as recency
    assert set(BUDGETS) > {"1/2", "1/4"}


def test_answers_are_compared_by_their_words() -> None:
    assert words("It is a dog.") == words(" it is A dog") != words("It is a hat.")
