"""The benchmark of many sessions at a small size: what it reports, and that it loses nothing."""

import json
from itertools import pairwise

import pytest

from benchmarks import BENCHMARKS
from benchmarks.errors import OptionError
from benchmarks.scenes import Stream, read_scenes
from benchmarks.sessions import Worker, _jpeg
from model_worker.engine import Engine
from model_worker.settings import SHIPPED_MODEL


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.load(SHIPPED_MODEL, threads=1)


@pytest.fixture(scope="module")
def jpegs() -> list[bytes]:
    stream = Stream(read_scenes((96, 96), 96 * 96), 0)
    return [_jpeg(stream.next()) for _ in range(20)]


def test_reports_a_point_for_each_number_of_sessions() -> None:
    figures = BENCHMARKS["sessions"](seconds=2, sessions=(1, 2), rounds=1, questions_per_second=6.0)
    json.dumps(figures, allow_nan=False)
    assert [point["sessions"] for point in figures["points"]] == [1, 2]
    for point in figures["points"]:
        assert point["frames_per_second"] > 0
        assert point["one_at_a_time_frames_per_second"] > 0
        assert point["saturated_itl_p99"] > 0
        assert point["dropped"] == 0  # two frames each cannot fill a ring
        assert point["answers"] == point["questions"] > 0
        assert 0 < point["ttft_p50"] <= point["ttft_p99"]
        assert 0 < point["itl_p50"] <= point["itl_p99"]
        assert point["live_frames_per_second"] <= point["sessions"]
        assert point["longest_frame_wait_seconds"] > 0
    last = figures["points"][-1]
    assert figures["compared_sessions"] == 2
    alone = last["one_at_a_time_frames_per_second"]
    assert figures["one_at_a_time_frames_per_second"] == alone
    assert figures["times_one_at_a_time"] == pytest.approx(
        last["frames_per_second"] / alone, abs=0.01
    )
    assert figures["idle_itl_p50"] <= figures["idle_itl_p99"]


@pytest.mark.parametrize("max_batch", [1, 16])
def test_frames_always_wait_and_none_is_lost(
    engine: Engine, jpegs: list[bytes], max_batch: int
) -> None:
    worker = Worker(engine, ["a", "b"], jpegs, max_batch)
    assert len(worker.waits) >= 2 * 40
    before = len(worker.waits)
    assert worker.saturate(20) > 0
    assert len(worker.waits) >= before + 20
    watched = worker._watched.by_session
    assert abs(watched["a"] - watched["b"]) <= 4
    gaps = worker.answer(3, frames=True)
    assert len(gaps) == sum(len(pieces) - 1 for pieces in worker.pieces.values()) > 6
    assert min(gaps) > 0
    worker.drain()
    assert worker._watched.by_session == worker._numbers
    assert sum(worker.dropped.values()) == 0
    worker.close()


def test_frames_that_come_too_fast_are_counted(engine: Engine, jpegs: list[bytes]) -> None:
    worker = Worker(engine, ["a"], jpegs, 16)
    worker.drain()
    worker.live([(0.0, "a", False)] * 7)
    assert worker.dropped["a"] == 3
    worker.close()


def test_pieces_are_timed_as_they_come(engine: Engine, jpegs: list[bytes]) -> None:
    worker = Worker(engine, ["a"], jpegs, 16)
    worker.live([(0.1, "a", True)])
    (pieces,) = worker.pieces.values()
    (asked,) = worker.asked.values()
    assert worker.completed == 1
    assert len(pieces) > 3
    assert asked < pieces[0]
    assert worker.gaps(worker.asked) == [b - a for a, b in pairwise(pieces)]
    worker.close()


def test_a_failing_session_ends_the_measurement(
    engine: Engine, jpegs: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object) -> None:
        raise RuntimeError("no more")

    worker = Worker(engine, ["a"], jpegs, 16)
    monkeypatch.setattr(engine.adapter, "encode", broken)
    with pytest.raises(RuntimeError, match=r"a session failed.*no more"):
        worker.saturate(8)


@pytest.mark.parametrize("seconds", [0, -3, 1.9, float("nan"), float("inf")])
def test_seconds_that_cannot_be_are_refused(seconds: float) -> None:
    with pytest.raises(OptionError, match="at least 2"):
        BENCHMARKS["sessions"](seconds=seconds)
