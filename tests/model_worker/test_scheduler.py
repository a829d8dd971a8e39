"""Order and bounds of the worker's turns, without a model and without a clock."""

from hypothesis import given
from hypothesis import strategies as st

from messages.frames import Frame
from messages.keys import RING
from messages.questions import Ask
from model_worker.scheduler import (
    MAX_WAITING_QUESTIONS,
    PATIENCE_SECONDS,
    Lane,
    Scheduler,
    Stage,
    Turn,
)


def frame(number: int, dropped: int = 0) -> Frame:
    return Frame("s", number, float(number), 0.0, b"", dropped)


def ask(response: str) -> Ask:
    return Ask("s", response, "?")


def scheduler(*names: str, max_answers: int = 9) -> tuple[Scheduler, dict[str, Lane]]:
    made = Scheduler(max_answers)
    return made, {name: made.open(name) for name in names}


def next_turn(made: Scheduler, frames: int = 1) -> Turn:
    return made.next_turn(1000.0, lambda answering: frames)


def test_nothing_to_do_is_false() -> None:
    made, _ = scheduler("a", "b")
    assert not next_turn(made)


def test_all_answers_in_progress_get_a_step() -> None:
    made, lanes = scheduler("a", "b", "c")
    lanes["a"].stage = lanes["c"].stage = Stage.DECODE
    assert next_turn(made) == Turn(decode=("a", "c"))


def test_one_question_is_prefilled_at_a_time_the_oldest_first() -> None:
    made, lanes = scheduler("a", "b")
    lanes["a"].add_question(ask("late"), 2.0)
    lanes["b"].add_question(ask("early"), 1.0)
    assert next_turn(made).prefill == "b"
    lanes["b"].take_question()
    assert next_turn(made).prefill == "b"  # until its last chunk
    lanes["b"].stage = Stage.DECODE
    assert next_turn(made) == Turn(decode=("b",), prefill="a")


def test_a_session_answers_one_question_after_another() -> None:
    made, lanes = scheduler("a")
    lanes["a"].add_question(ask("1"), 1.0)
    lanes["a"].add_question(ask("2"), 2.0)
    assert lanes["a"].take_question().what.response == "1"
    lanes["a"].stage = Stage.DECODE
    assert next_turn(made) == Turn(decode=("a",))
    lanes["a"].stage = Stage.IDLE
    assert next_turn(made).prefill == "a"
    assert lanes["a"].take_question().what.response == "2"


def test_watching_goes_on_while_answering() -> None:
    made, lanes = scheduler("a", "b")
    lanes["a"].stage = Stage.DECODE
    lanes["b"].add_question(ask("1"), 1.0)
    lanes["a"].add_frame(frame(0), 3.0)
    lanes["b"].add_frame(frame(0), 2.0)
    assert next_turn(made) == Turn(decode=("a",), prefill="b", watch=(("b", 1),))


def test_a_memory_that_takes_no_frame_now_does_not_hold_up_others() -> None:
    made, lanes = scheduler("a", "b")
    lanes["a"].add_frame(frame(0), 1.0)
    lanes["b"].add_frame(frame(0), 2.0)
    lanes["a"].can_watch = False
    assert next_turn(made).watch == (("b", 1),)
    lanes["a"].can_watch = True
    assert next_turn(made).watch == (("a", 1),)


def test_a_closed_session_has_no_work() -> None:
    made, lanes = scheduler("a")
    lanes["a"].add_frame(frame(0), 1.0)
    made.close("a")
    made.close("a")
    assert not next_turn(made)
    assert len(made) == 0


def test_questions_are_bounded_and_can_be_withdrawn() -> None:
    lane = Lane("a")
    assert all(lane.add_question(ask(str(i)), 0.0) for i in range(MAX_WAITING_QUESTIONS))
    assert not lane.add_question(ask("more"), 0.0)
    assert lane.withdraw("3")
    assert not lane.withdraw("3")
    assert lane.add_question(ask("more"), 0.0)


def test_the_gateways_drops_count_once() -> None:
    lane = Lane("a")
    lane.add_frame(frame(0, dropped=2), 0.0)
    lane.add_frame(frame(1, dropped=2), 0.0)
    lane.add_frame(frame(2, dropped=5), 0.0)
    assert lane.frames_dropped == 5


@given(st.sets(st.integers(0, 60)), st.data())
def test_every_frame_is_taken_or_waits_or_is_counted_lost(
    sent: set[int], data: st.DataObject
) -> None:
    lane, taken = Lane("a"), 0
    for number in sorted(sent):
        lane.add_frame(frame(number), float(number))
        assert len(lane.frames) <= RING
        if lane.frames and data.draw(st.booleans()):
            lane.frames.popleft()
            taken += 1
    assert taken + len(lane.frames) + lane.lost_here == (max(sent) + 1 if sent else 0)


def test_the_newest_frames_stay() -> None:
    lane = Lane("a")
    for number in range(10):
        lane.add_frame(frame(number), float(number))
    assert [waiting.what.number for waiting in lane.frames] == [6, 7, 8, 9]


def test_frames_are_taken_together_the_oldest_first() -> None:
    made, lanes = scheduler("a", "b", "c")
    for at, session in enumerate("abacab"):
        lanes[session].add_frame(frame(len(lanes[session].frames)), float(at))
    assert next_turn(made, 4).watch == (("a", 2), ("b", 1), ("c", 1))
    assert next_turn(made, 99).watch == (("a", 3), ("b", 2), ("c", 1))


def test_fewer_frames_are_taken_while_somebody_waits_for_words() -> None:
    made, lanes = scheduler("a", "b")
    for at, session in enumerate("abab"):
        lanes[session].add_frame(frame(len(lanes[session].frames)), float(at))
    asked: list[bool] = []

    def frames(answering: bool) -> int:
        asked.append(answering)
        return 1 if answering else 4

    assert made.next_turn(1000.0, frames).watch == (("a", 2), ("b", 2))
    lanes["b"].stage = Stage.DECODE
    assert made.next_turn(1000.0, frames).watch == (("a", 1),)
    assert asked == [False, True]


def test_frames_give_way_to_answers_for_a_moment() -> None:
    made, lanes = scheduler("a", "b")
    lanes["a"].add_frame(frame(0), 10.0)
    lanes["b"].add_frame(frame(0), 10.0 + PATIENCE_SECONDS)
    lanes["b"].stage = Stage.DECODE
    assert made.next_turn(10.0 + PATIENCE_SECONDS / 2, lambda answering: 9).watch == ()
    assert made.next_turn(10.0 + PATIENCE_SECONDS, lambda answering: 9).watch == (("a", 1),)
    lanes["b"].stage = Stage.IDLE
    turn = made.next_turn(10.0 + PATIENCE_SECONDS, lambda answering: 9)
    assert turn.watch == (("a", 1), ("b", 1))


def test_so_many_answers_are_written_at_once_and_no_more() -> None:
    made, lanes = scheduler("a", "b", "c", max_answers=2)
    for at, session in enumerate("cab"):
        lanes[session].add_question(ask(session), float(at))
    for expected in "ca":
        assert next_turn(made).prefill == expected
        lanes[expected].take_question()
        assert next_turn(made).prefill == expected  # its next chunk
        lanes[expected].stage = Stage.DECODE
    assert next_turn(made) == Turn(decode=("a", "c"))
    lanes["c"].stage = Stage.IDLE
    assert next_turn(made) == Turn(decode=("a",), prefill="b")


def test_a_question_without_anything_to_be_about_waits() -> None:
    made, lanes = scheduler("a", "b")
    lanes["a"].add_question(ask("1"), 1.0)
    lanes["b"].add_question(ask("2"), 2.0)
    lanes["a"].can_answer = False
    assert next_turn(made).prefill == "b"
    lanes["a"].can_answer = True
    assert next_turn(made).prefill == "a"


def test_frames_that_are_given_back_are_the_next_again() -> None:
    lane = Lane("a")
    for number in range(4):
        lane.add_frame(frame(number), float(number))
    taken = lane.take_frames(3)
    lane.give_back(taken[1:])
    assert [waiting.what.number for waiting in lane.take_frames(9)] == [1, 2, 3]
    assert lane.take_frames(1) == []


@given(st.lists(st.lists(st.integers(0, 100), max_size=4), min_size=1, max_size=6), st.data())
def test_no_session_waits_longer_than_one_that_came_later(
    arrivals: list[list[int]], data: st.DataObject
) -> None:
    made, lanes = scheduler(*(str(i) for i in range(len(arrivals))))
    for i, times in enumerate(arrivals):
        for number, at in enumerate(sorted(times)):
            lanes[str(i)].add_frame(frame(number), float(at))
    count = data.draw(st.integers(1, 12))
    taken = []
    for session, number in next_turn(made, count).watch:
        taken += [waiting.since for waiting in lanes[session].take_frames(number)]
    left = [waiting.since for lane in made for waiting in lane.frames]
    assert len(taken) == min(count, sum(map(len, arrivals)))
    assert not taken or not left or max(taken) <= min(left)


def test_what_a_turn_has_for_some_sessions() -> None:
    turn = Turn(decode=("a", "b"), prefill="c", watch=(("a", 2), ("d", 1)))
    assert turn.of(lambda session: session == "a") == Turn(("a",), None, (("a", 2),))
    assert turn.of(lambda session: session != "a") == Turn(("b",), "c", (("d", 1),))
    assert not turn.of(lambda session: session == "e")
