"""What waits for the model's thread is bounded and in order."""

import threading

from messages.frames import Frame
from messages.keys import RING
from messages.sessions import CloseSession, OpenSession
from model_worker.mailbox import MOST_ORDERS, Lost, Mailbox


def frame(session: str, number: int) -> Frame:
    return Frame(session, number, float(number), 0.0, b"")


def test_controls_come_first_and_in_order() -> None:
    box = Mailbox()
    box.put_frame(frame("a", 0))
    box.put(OpenSession("a"))
    box.put(CloseSession("b"))
    assert box.take(0) == [OpenSession("a"), CloseSession("b"), frame("a", 0)]
    assert box.take(0) == []


def test_each_session_keeps_its_newest_frames() -> None:
    box = Mailbox()
    for number in range(10):
        box.put_frame(frame("a", number))
    box.put_frame(frame("b", 0))
    kept = [(mail.session, mail.number) for mail in box.take(0) if isinstance(mail, Frame)]
    assert kept == [("a", 10 - RING + i) for i in range(RING)] + [("b", 0)]


def test_a_full_box_makes_its_filler_wait_for_the_taker() -> None:
    box = Mailbox()
    for number in range(MOST_ORDERS):
        box.put(OpenSession(str(number)))
    filler = threading.Thread(target=box.put, args=(OpenSession("last"),), daemon=True)
    filler.start()
    filler.join(0.2)
    assert filler.is_alive()
    assert len(box.take(0)) == MOST_ORDERS
    assert box.take(10) == [OpenSession("last")]
    filler.join(10)
    assert not filler.is_alive()


def test_a_waiting_taker_is_woken() -> None:
    box = Mailbox()
    got: list[object] = []
    taker = threading.Thread(target=lambda: got.extend(box.take(60)), daemon=True)
    taker.start()
    box.put_frame(frame("a", 0))
    taker.join(30)
    assert got == [frame("a", 0)]


def test_what_must_not_wait_does_not() -> None:
    box = Mailbox()
    assert box.empty
    for _ in range(MOST_ORDERS):
        box.put(CloseSession("a"))
    box.put_now(Lost("a"))
    assert not box.empty
    assert box.take(0)[-1] == Lost("a")
    assert box.empty
