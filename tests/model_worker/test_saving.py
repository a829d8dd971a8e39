"""What is written down of sessions' memories, and when."""

import numpy as np

from messages.files import SaveSession
from messages.questions import Ask
from model_worker.decoding import Sampling
from model_worker.engine import Engine
from model_worker.saving import Saving
from model_worker.scheduler import Lane
from model_worker.seat import Seat
from model_worker.snapshot import Snapshot
from model_worker.snapshot_reader import SnapshotReader


def seated(engine: Engine, name: str) -> Seat:
    return Seat(engine.open_session(), Lane(name), 1)


def test_the_oldest_of_those_that_changed_is_due(llava: Engine) -> None:
    saved: list[tuple[str, bytes]] = []
    saving = Saving(llava, lambda name, made: saved.append((name, b"".join(made))), seconds=60)
    seats = [seated(llava, name) for name in "ab"]
    for seat in seats:
        seat.saved, seat.saved_at = seat.progress, -1000.0
    seats[1].saved_at = -2000.0
    assert saving.due(seats) is None  # nothing is new
    picture = np.zeros((32, 32, 3), np.uint8)
    for seat in seats:
        seat.memory.watch(picture, 1.0)
    assert saving.due(seats) is seats[1]
    saving.save(seats[1], {"mine": "note"})
    assert saving.due(seats) is seats[0]
    saving.save(seats[0])
    assert saving.due(seats) is None
    assert [name for name, _ in saved] == ["b", "a"]
    notes = SnapshotReader(saved[0][1]).header.notes
    assert notes["mine"] == "note" and "saved_at" in notes
    for _ in seats[0].memory.ask(Ask("a", "r", "what?").text, Sampling(max_tokens=2)):
        pass
    seats[0].saved_at = -1000.0
    assert saving.due(seats) is seats[0]  # what was said is new, too
    for seat in seats:
        seat.memory.close()


def test_without_a_place_nothing_is_made(llava: Engine) -> None:
    seat = seated(llava, "a")
    seat.memory.watch(np.zeros((32, 32, 3), np.uint8), 1.0)
    saving = Saving(llava)
    assert saving.due([seat]) is None
    saving.save(seat)
    saving.export(seat, SaveSession("a", "c"))
    seat.memory.close()


def test_who_wants_it_gets_it_in_the_form_that_was_asked_for(llava: Engine) -> None:
    given: list[tuple[str, Snapshot]] = []
    seat = seated(llava, "a")
    saving = Saving(llava, give=lambda channel, make: given.append((channel, make())))
    saving.export(seat, SaveSession("a", "c", "8-bit"))
    [(channel, snapshot)] = given
    assert (channel, snapshot.header.option) == ("c", "8-bit")
    seat.memory.close()
