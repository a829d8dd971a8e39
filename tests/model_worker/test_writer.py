"""What sessions' clients are to hear is written in order, fenced, and once more after an outage."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from broker.connection import connect
from broker.embedded import EmbeddedBroker
from messages import keys
from messages.answers import AnswerDelta
from messages.codec import decode_to_gateway
from messages.sessions import SessionClosed, SessionRefused
from model_worker.leases import Lease, Leases
from model_worker.writer import HandOver, Outgoing, Writer


class Writing:
    """A writer on a thread, and what it tells."""

    def __init__(self, client: "Redis") -> None:
        self.client = client
        self.leases = Leases(client, "one")
        self.lost: list[str] = []
        self.refused: list[tuple[str, float]] = []
        self.ended: list[str] = []
        self.stopping = threading.Event()
        self.writer = Writer(
            client,
            self.leases,
            self.lost.append,
            lambda session, seconds: self.refused.append((session, seconds)),
            self.ended.append,
        )
        self.thread = threading.Thread(target=self.writer.run, args=(self.stopping,), daemon=True)
        self.thread.start()

    def hold(self, session: str, turn: float = 0.0) -> None:
        self.client.set(keys.alive(session), 1)
        self.client.zadd(keys.QUEUE, {session: turn})
        assert isinstance(self.leases.claim(session, 1, turn, give_way=False), Lease)

    def say(self, *messages: Outgoing) -> None:
        """And wait until all of it is written."""
        for message in (*messages, None):
            self.writer.put(message, self.stopping)
        self.thread.join(30)
        assert not self.thread.is_alive()

    def heard(self, session: str) -> list[object]:
        entries = self.client.xrange(keys.events(session))
        return [decode_to_gateway(fields[keys.FIELD]) for _, fields in entries]


@pytest.fixture
def writing() -> Iterator[Writing]:
    with EmbeddedBroker() as broker, connect(broker.url) as client:
        yield Writing(client)


def test_each_session_hears_its_own_in_order(writing: Writing) -> None:
    writing.hold("a")
    writing.hold("b")
    said = [AnswerDelta(session, "r", index, "x") for index in range(100) for session in "ab"]
    writing.say(*said)
    for session in "ab":
        assert writing.heard(session) == [each for each in said if each.session == session]


def test_the_end_of_a_session_frees_its_keys(writing: Writing) -> None:
    writing.hold("a")
    end = SessionClosed("a", "closed")
    writing.say(AnswerDelta("a", "r", 0, "x"), end)
    assert writing.heard("a")[-1] == end
    assert not writing.client.exists(keys.owner("a"))
    assert (writing.ended, "a" in writing.leases) == (["a"], False)


def test_one_that_cannot_be_opened_now_waits_on_and_one_that_never_can_does_not(
    writing: Writing,
) -> None:
    writing.hold("a", 7.0)
    writing.hold("b")
    writing.say(SessionRefused("a", "full", 5.0), SessionRefused("b", "too large", None))
    assert writing.refused == [("a", 5.0)]
    assert writing.client.zrange(keys.QUEUE, 0, -1, withscores=True) == [(b"a", 7.0)]
    assert writing.heard("b") == [SessionRefused("b", "too large", None)]


def test_a_session_that_is_handed_over_waits_first(writing: Writing) -> None:
    writing.hold("a", 7.0)
    writing.say(AnswerDelta("a", "r", 0, "x"), HandOver("a"))
    assert writing.client.zscore(keys.QUEUE, "a") == keys.FIRST_IN_LINE
    assert len(writing.heard("a")) == 1


def test_what_is_another_workers_is_not_written(writing: Writing) -> None:
    writing.hold("a")
    writing.client.set(keys.owner("a"), "two 2")
    writing.say(AnswerDelta("a", "r", 0, "stale"), AnswerDelta("unknown", "r", 0, "stale"))
    assert writing.heard("a") == writing.heard("unknown") == []
    assert (writing.lost, "a" in writing.leases) == (["a"], False)


def test_a_broker_that_was_away_gets_it_later(tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path)
    with broker, connect(broker.url) as client:
        writing = Writing(client)
        writing.hold("a")
        broker.__exit__(None, None, None)
        writing.writer.put(AnswerDelta("a", "r", 0, "x"), writing.stopping)
        time.sleep(0.5)
        broker.__enter__()
        client.set(keys.owner("a"), "one 1")  # as the next beat does
        writing.say()
        assert writing.heard("a") == [AnswerDelta("a", "r", 0, "x")]
