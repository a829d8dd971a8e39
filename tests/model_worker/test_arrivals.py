"""How sessions come to a worker with a tiny model, and why some do not."""

from messages.answers import AnswerDone
from messages.files import SaveSession
from messages.questions import Ask
from messages.sessions import (
    CloseSession,
    MemoryStatus,
    OpenSession,
    SessionMoved,
    SessionOpened,
    SessionRefused,
)
from model_worker.admission import Admission
from model_worker.engine import Engine
from model_worker.mailbox import Import, Resume
from model_worker.snapshot_reader import SnapshotReader
from tests.model_worker.driven import Driven, frame, watch


def test_no_room_is_refused_for_now_and_the_infeasible_for_good(driven: Driven) -> None:
    driven.hear(OpenSession("a"), OpenSession("b"), OpenSession("c"), OpenSession("d", 1))
    [full] = driven.all(SessionRefused, "c")
    assert full.retry_after is not None
    driven.hear(CloseSession("a"), OpenSession("c"), CloseSession("c"), OpenSession("d", 1))
    assert driven.all(SessionOpened, "c")
    assert [refused.retry_after for refused in driven.all(SessionRefused, "d")][-1] is None
    assert "budget" in driven.all(SessionRefused, "d")[-1].message


def test_opening_twice_is_told_twice_and_reserves_once(driven: Driven) -> None:
    driven.hear(OpenSession("a"), OpenSession("a"))
    assert len(driven.all(SessionOpened)) == 2
    assert driven.runner.sessions == 1


def test_kv_bytes_limit_sessions(llava: Engine) -> None:
    budget = llava.default_budget_tokens
    driven = Driven(llava, Admission(9, llava.session_bytes(budget) * 3 // 2), budget)
    driven.hear(OpenSession("a"), OpenSession("b"), OpenSession("c", budget * 10))
    assert driven.all(SessionOpened)
    [no_room], [never] = driven.all(SessionRefused, "b"), driven.all(SessionRefused, "c")
    assert no_room.retry_after is not None
    assert never.retry_after is None


def test_a_session_of_a_lost_worker_begins_anew_and_says_so(driven: Driven) -> None:
    driven.hear(Resume(OpenSession("a", instructions="Be short."), None))
    [moved] = driven.all(SessionMoved)
    assert (moved.restored, moved.questions, moved.lost_seconds) == (False, False, None)
    assert "lost" in moved.message
    assert driven.said.index(moved) > driven.said.index(driven.all(SessionOpened)[0])


def exported(driven: Driven, session: str = "a") -> bytes:
    """What somebody is given who asks for this session."""
    given: list[bytes] = []
    driven.give = lambda channel, make: given.append(b"".join(make()))
    driven.hear(SaveSession(session, "c"))
    return given[0]


def test_a_session_begins_with_anothers_memory_and_counts_on(driven: Driven, llava: Engine) -> None:
    driven.hear(OpenSession("a", instructions="Be short."))
    watch(driven, 3)
    driven.hear(Ask("a", "r1", "what?", max_tokens=4)).work()
    file = exported(driven)
    driven.hear(Ask("a", "r2", "and before?", max_tokens=4)).work()
    wanted = OpenSession("b", llava.default_budget_tokens, "Be short.")
    driven.hear(Import(wanted, SnapshotReader(file)), Ask("b", "r3", "and before?", max_tokens=4))
    driven.work()
    assert driven.all(SessionOpened, "b")
    assert not driven.all(SessionMoved, "b")
    [there] = driven.all(AnswerDone, "b")
    assert there.text == driven.all(AnswerDone)[1].text
    driven.hear(frame(3, "b")).work(lambda: driven.all(MemoryStatus, "b") != [])
    status = driven.all(MemoryStatus, "b")[-1]
    assert status.frames_dropped == 0
    # Its own frames are old news to it.
    driven.hear(frame(2, "b"))
    assert not driven.seat("b").lane.frames or status.frames_seen == 3


def test_a_file_that_cannot_be_used_refuses_the_session_for_good(
    driven: Driven, llava: Engine
) -> None:
    driven.hear(OpenSession("a"))
    file, budget = exported(driven), llava.default_budget_tokens
    for name, mail in {
        "b": Import(OpenSession("b", budget), None, "it did not come"),
        "c": Import(OpenSession("c", budget + 9), SnapshotReader(file)),
        "d": Import(OpenSession("d", budget), SnapshotReader(file[:-30])),
    }.items():
        driven.hear(mail)
        [refused] = driven.all(SessionRefused, name)
        assert refused.retry_after is None and refused.message
    assert driven.runner.sessions == 1
