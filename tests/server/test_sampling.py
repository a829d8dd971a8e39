"""Time rises, the rate holds, and near-duplicates are skipped but not for ever."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.sampling import Sampler, Similarity, StreamClock


def test_presentation_times_become_session_times() -> None:
    clock = StreamClock()
    assert [clock.time(100 + t, 5 + t) for t in (0.0, 0.5, 2.0)] == [0.0, 0.5, 2.0]


def test_decoding_late_does_not_change_presentation_time() -> None:
    clock = StreamClock()
    clock.time(0.0, 0.0)
    assert clock.time(0.1, 6.0) == pytest.approx(0.1)
    assert clock.time(0.2, 6.0) == pytest.approx(0.2)


def test_another_track_goes_on_where_wall_time_says() -> None:
    clock = StreamClock()
    clock.time(0.0, 10.0)
    clock.time(4.0, 14.0)
    clock.restart()
    assert clock.time(900.0, 17.0) == pytest.approx(7.0)
    assert clock.time(901.0, 18.0) == pytest.approx(8.0)


@pytest.mark.parametrize("jump", [-3.0, 5000.0])
def test_a_jump_of_presentation_time_is_not_believed(jump: float) -> None:
    clock = StreamClock()
    clock.time(50.0, 0.0)
    clock.time(51.0, 1.0)
    assert clock.time(51.0 + jump, 2.0) == pytest.approx(2.0)
    assert clock.time(52.0 + jump, 3.0) == pytest.approx(3.0)


def test_a_frame_that_is_not_newer_is_left_out() -> None:
    clock = StreamClock()
    clock.time(1.0, 0.0)
    clock.time(2.0, 1.0)
    assert clock.time(2.0, 1.5) is None


@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.floats(-1e5, 1e5)),
            st.floats(0, 20),
            st.booleans(),
        ),
        max_size=40,
    )
)
def test_session_time_always_rises(steps: list[tuple[float | None, float, bool]]) -> None:
    clock, wall, times = StreamClock(), 0.0, []
    for presented, passed, restarts in steps:
        wall += passed
        if restarts:
            clock.restart()
        times.append(clock.time(presented, wall))
    known = [time for time in times if time is not None]
    assert all(a < b for a, b in itertools.pairwise(known))
    assert all(0 <= time < 1e6 for time in known)


@pytest.mark.parametrize(("source", "fps"), [(30, 1), (30, 2), (25, 1), (15, 4), (7, 5)])
def test_the_rate_is_held(source: float, fps: float) -> None:
    sampler = Sampler(fps)
    taken = [t for t in (n / source for n in range(int(60 * source))) if sampler.due(t)]
    assert len(taken) == pytest.approx(60 * fps, abs=2)
    assert min(np.diff(taken)) > 0.6 / fps


def test_a_source_at_the_wanted_rate_loses_nothing_to_jitter() -> None:
    sampler = Sampler(1.0)
    random = np.random.default_rng(0)
    times = np.arange(100) + random.uniform(-0.04, 0.04, 100)
    assert sum(sampler.due(float(t)) for t in times) == 100


def test_a_gap_is_not_caught_up_on() -> None:
    sampler = Sampler(1.0)
    assert sampler.due(0.0) and sampler.due(100.0)
    assert not sampler.due(100.5)
    assert sampler.due(101.0)


def _grey(level: int) -> np.ndarray:
    return np.full((32, 32), level, np.uint8)


def test_near_duplicates_are_skipped_and_one_is_kept_in_time() -> None:
    similarity = Similarity(levels=1.0, keep_every_seconds=4.0)
    kept = [t for t in range(13) if similarity.keep(_grey(100 + t % 2), float(t))]
    assert kept == [0, 4, 8, 12]


def test_a_small_change_that_adds_up_is_seen() -> None:
    similarity = Similarity(levels=1.0, keep_every_seconds=1000.0)
    kept = [t for t in range(7) if similarity.keep(_grey(100 + t), float(t))]
    assert kept == [0, 2, 4, 6]


def test_one_small_thing_that_appears_is_kept() -> None:
    similarity = Similarity(levels=1.0, keep_every_seconds=1000.0)
    similarity.keep(_grey(128), 0.0)
    with_thing = _grey(128)
    with_thing[3:8, 3:8] = 230
    assert similarity.keep(with_thing, 1.0)


def test_brightness_does_not_wrap_around() -> None:
    similarity = Similarity(levels=10.0, keep_every_seconds=1000.0)
    similarity.keep(_grey(2), 0.0)
    assert similarity.keep(_grey(255), 1.0)


def test_zero_seconds_keep_everything() -> None:
    similarity = Similarity(levels=1.0, keep_every_seconds=0.0)
    assert all(similarity.keep(_grey(9), float(t)) for t in range(5))


def test_the_time_of_this_moment_moves_nothing() -> None:
    clock = StreamClock()
    assert clock.at(50.0) == 0.0
    assert clock.time(7.0, 100.0) == 0.0
    assert clock.at(102.5) == 2.5 and clock.at(99.0) == 0.0
    assert clock.time(None, 103.0) == 3.0
    assert clock.time(8.0, 103.5) == 3.5  # the camera's own time line goes on from there
    assert clock.time(8.25, 104.0) == 3.75


def test_asking_whether_a_frame_may_be_taken_takes_none() -> None:
    sampler = Sampler(1.0)
    assert sampler.may(0.0) and sampler.due(0.0)
    assert not sampler.may(0.5) and sampler.may(0.95) and sampler.may(0.95)
    assert sampler.due(0.95) and not sampler.may(0.95)
