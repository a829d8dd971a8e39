"""What can be given to other processes is, and the rest is done here."""

from benchmarks.recall.art import noto
from benchmarks.recall.crew import Setting, sit_all
from benchmarks.recall.sitting import sit
from model_worker.engine import Engine
from model_worker.memory.policies.recency import Recency
from model_worker.settings import SHIPPED_MODEL
from tests.benchmarks.recall.test_sitting import CELLS, answers, cell


def test_policies_that_cannot_travel_are_measured_in_this_process() -> None:
    class Local(Recency):
        pass

    engine = Engine.load(SHIPPED_MODEL, threads=1)
    setting = Setting(str(SHIPPED_MODEL), "noto", {"mine": Local}, None, 1)
    streams = [[cell("mine", "1/4")], [CELLS[0]]]
    (mine,), (full,) = sit_all(setting, engine, streams, jobs=2)
    assert answers([full]) == answers(sit(engine, [CELLS[0]], noto()))
    assert mine.cell.policy == "mine"
    assert len(mine.asked) == len(full.asked)
