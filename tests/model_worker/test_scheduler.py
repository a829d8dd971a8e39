"""Order and bounds of the worker's turns, without a model and without a clock."""

from hypothesis import given
from hypothesis import strategies as st

from messages.frames import Frame
from messages.keys import RING
from messages.questions import Ask
from model_worker.scheduler import MAX_WAITING_QUESTIONS, Lane, Scheduler, Stage, Turn


def frame(number: int, dropped: int = 0) -> Frame:
    return Frame("s", number, float(number), 0.0, b"", dropped)


def ask(response: str) -> Ask:
    return Ask("s", response, "?")


def scheduler(*names: str) -> tuple[Scheduler, dict[str, Lane]]:
    made = Scheduler()
    return made, {name: made.open(name) for name in names}


def test_nothing_to_do_is_false() -> None:
    made, _ = scheduler("a", "b")
    assert not made.next_turn()


def test_all_answers_in_progress_get_a_step() -> None:
    made, lanes = scheduler("a", "b", "c")
    lanes["a"].stage = lanes["c"].stage = Stage.DECODE
    assert made.next_turn() == Turn(decode=("a", "c"))


def test_one_question_is_prefilled_at_a_time_the_oldest_first() -> None:
    made, lanes = scheduler("a", "b")
    lanes["a"].add_question(ask("late"), 2.0)
    lanes["b"].add_question(ask("early"), 1.0)
    assert made.next_turn().prefill == "b"
    lanes["b"].take_question()
    assert made.next_turn().prefill == "b"  # until its last chunk
    lanes["b"].stage = Stage.DECODE
    assert made.next_turn() == Turn(decode=("b",), prefill="a")


def test_a_session_answers_one_question_after_another() -> None:
    made, lanes = scheduler("a")
    lanes["a"].add_question(ask("1"), 1.0)
    lanes["a"].add_question(ask("2"), 2.0)
    assert lanes["a"].take_question().what.response == "1"
    lanes["a"].stage = Stage.DECODE
    assert made.next_turn() == Turn(decode=("a",))
    lanes["a"].stage = Stage.IDLE
    assert made.next_turn().prefill == "a"
    assert lanes["a"].take_question().what.response == "2"


def test_watching_goes_on_while_answering() -> None:
    made, lanes = scheduler("a", "b")
    lanes["a"].stage = Stage.DECODE
    lanes["b"].add_question(ask("1"), 1.0)
    lanes["a"].add_frame(frame(0), 3.0)
    lanes["b"].add_frame(frame(0), 2.0)
    assert made.next_turn() == Turn(decode=("a",), prefill="b", watch="b")


def test_a_memory_that_takes_no_frame_now_does_not_hold_up_others() -> None:
    made, lanes = scheduler("a", "b")
    lanes["a"].add_frame(frame(0), 1.0)
    lanes["b"].add_frame(frame(0), 2.0)
    lanes["a"].can_watch = False
    assert made.next_turn().watch == "b"
    lanes["a"].can_watch = True
    assert made.next_turn().watch == "a"


def test_a_closed_session_has_no_work() -> None:
    made, lanes = scheduler("a")
    lanes["a"].add_frame(frame(0), 1.0)
    made.close("a")
    made.close("a")
    assert not made.next_turn()
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
    assert lane.frame_since == 6.0
