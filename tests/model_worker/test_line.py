"""Which session of the queue a worker takes, on a real broker."""

from collections.abc import Iterator

import msgspec
import pytest
from redis import Redis

from broker.connection import connect
from broker.embedded import EmbeddedBroker
from messages import keys
from messages.codec import encode
from messages.sessions import OpenSession, SessionOpened, SessionRecord
from messages.workers import PROTOCOL
from model_worker import line as module
from model_worker.leases import Leases
from model_worker.line import Line


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with EmbeddedBroker() as broker:
        yield broker.url


@pytest.fixture
def client(url: str) -> Iterator["Redis"]:
    with connect(url) as made:
        made.flushall()
        yield made


def needed(wanted: OpenSession) -> int:
    if wanted.budget_tokens == 0:
        raise ValueError("a budget of nothing")
    return wanted.budget_tokens or 10


def made(client: "Redis", kv_bytes: int = 100, max_sessions: int = 10) -> Line:
    leases = Leases(client, "one")
    return Line(client, leases, needed, "m", kv_bytes=kv_bytes, max_sessions=max_sessions)


def join(
    client: "Redis", session: str, turn: float, budget: int | None = None, **more: object
) -> None:
    record = SessionRecord(PROTOCOL, OpenSession(session, budget), turn, 0.0)
    record = msgspec.structs.replace(record, **more)
    client.set(keys.session(session), encode(record))
    client.set(keys.alive(session), 1)
    client.zadd(keys.QUEUE, {session: turn})


def taken(line: Line) -> list[str]:
    names = []
    while (each := line.next()) is not None:
        names.append(each[0].session)
    return names


def test_sessions_are_taken_in_their_order_while_they_fit(client: "Redis") -> None:
    line = made(client, kv_bytes=25)
    for turn, session in enumerate(("b", "a", "c")):
        join(client, session, turn)
    assert taken(line) == ["b", "a"]
    assert line.free == 5
    assert client.zscore(keys.FREE, "one") == 5
    assert client.zrange(keys.QUEUE, 0, -1) == [b"c"]


def test_nobody_overtakes_one_that_will_fit_later(client: "Redis") -> None:
    line = made(client, kv_bytes=30)
    join(client, "first", 0)
    join(client, "large", 1, budget=25)
    join(client, "small", 2)
    assert taken(line) == ["first"]


@pytest.mark.parametrize("budget", [0, 1000])
def test_one_that_can_never_be_is_taken_to_be_refused(client: "Redis", budget: int) -> None:
    line = made(client)
    join(client, "never", 0, budget=budget)
    join(client, "next", 1)
    assert taken(line)[0] == "never"


def test_a_full_or_closed_worker_offers_nothing(client: "Redis") -> None:
    line = made(client, max_sessions=1)
    join(client, "a", 0)
    join(client, "b", 1)
    assert taken(line) == ["a"]
    line.offer()
    assert (line.free, client.zscore(keys.FREE, "one")) == (-1, -1)
    closed = made(client)
    closed.closed = True
    assert taken(closed) == []


def test_what_is_of_another_version_or_model_is_left_to_others(client: "Redis") -> None:
    line = made(client)
    join(client, "newer", 0, protocol=PROTOCOL + 1)
    join(client, "theirs", 1, opened=SessionOpened("theirs", "another", 1, 1, 1))
    join(client, "ours", 2, opened=SessionOpened("ours", "m", 1, 1, 1))
    unreadable = {"type": "session.record", "protocol": PROTOCOL + 7, "wanted": 1}
    client.set(keys.session("far"), msgspec.msgpack.encode(unreadable))
    client.zadd(keys.QUEUE, {"far": 0.5})
    assert taken(line) == ["ours"]
    assert client.zrange(keys.QUEUE, 0, -1) == [b"newer", b"far", b"theirs"]


def test_junk_in_the_queue_is_cleared(client: "Redis") -> None:
    line = made(client)
    client.zadd(keys.QUEUE, {"nothing": 0, "junk": 1})
    client.set(keys.session("junk"), b"\xff")
    join(client, "s", 2)
    assert taken(line) == ["s"]
    assert client.zcard(keys.QUEUE) == 0


def test_one_that_failed_here_is_left_alone_for_a_while(client: "Redis") -> None:
    line = made(client)
    join(client, "s", 0)
    line.shun("s", 60)
    assert taken(line) == []
    line.shun("s", -1)
    assert taken(line) == ["s"]


def test_a_worker_with_more_room_has_some_time(
    client: "Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    line = made(client)
    line.offer()
    client.zadd(keys.FREE, {"two": 1000})
    client.set(keys.worker("two"), b"")
    join(client, "s", 0)
    assert taken(line) == []
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.0)
    assert taken(line) == ["s"]


def test_those_whose_clients_are_away_keep_their_places_and_take_no_room(client: "Redis") -> None:
    for turn, session in enumerate(("gone for now", "here")):
        join(client, session, turn)
    client.set(keys.alive("gone for now"), keys.AWAY)
    line = made(client)
    assert taken(line) == ["here"]
    assert client.zrange(keys.QUEUE, 0, -1) == [b"gone for now"]
    client.set(keys.alive("gone for now"), b"1")
    assert taken(line) == ["gone for now"]
