"""Who holds a session, told over a real broker."""

from collections.abc import Iterator

import pytest
from redis import Redis

from broker.connection import connect
from broker.embedded import EmbeddedBroker
from messages import keys
from messages.codec import decode_card
from messages.workers import WorkerCard
from model_worker import leases
from model_worker.leases import Leases


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with EmbeddedBroker() as broker:
        yield broker.url


@pytest.fixture
def client(url: str) -> Iterator["Redis"]:
    with connect(url) as made:
        made.flushall()
        yield made


def card(name: str) -> WorkerCard:
    return WorkerCard(name, "m", "f", "cpu", None, 1, 1, 1, 1, 1, 0, 1, 0, 0.0)


def test_one_of_two_workers_gets_a_session(client: "Redis") -> None:
    one, two = Leases(client, "one"), Leases(client, "two")
    assert one.claim("s")
    assert not two.claim("s")
    assert one.claim("s")
    assert ("s" in one, "s" in two) == (True, False)


def test_renewing_shows_the_card_and_keeps_the_sessions(client: "Redis") -> None:
    one = Leases(client, "one")
    one.claim("s")
    client.delete(keys.owner("s"))  # as when the broker started again
    assert one.renew(card("one")) == []
    assert decode_card(client.get(keys.worker("one"))) == card("one")
    assert 0 < client.ttl(keys.worker("one")) <= keys.CARD_TTL_SECONDS
    assert client.get(keys.owner("s")) == b"one"


def test_a_session_that_nobody_keeps_alive_is_abandoned(
    client: "Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    one, now = Leases(client, "one"), 100.0
    monkeypatch.setattr(leases.time, "monotonic", lambda: now)
    one.claim("s")
    one.claim("kept")
    client.set(keys.alive("kept"), 1)
    now += keys.ALIVE_TTL_SECONDS + leases.ABANDONED_SECONDS
    assert one.renew(card("one")) == []  # it may have been opened without a sign of life yet
    now += 1
    assert one.renew(card("one")) == ["s"]
    one.forgive()
    assert one.renew(card("one")) == []


def test_a_released_session_is_anybodys(client: "Redis") -> None:
    one, two = Leases(client, "one"), Leases(client, "two")
    one.claim("s")
    client.xadd(keys.frames("s"), {keys.FIELD: b""})
    pipe = client.pipeline()
    one.release("s", pipe)
    pipe.execute()
    assert "s" not in one
    assert not client.exists(keys.frames("s"))
    assert two.claim("s")


def test_only_living_sessions_of_dead_workers_are_orphans(client: "Redis") -> None:
    one, two, three = (Leases(client, name) for name in ("one", "two", "three"))
    one.claim("lost")
    one.claim("left")
    two.claim("theirs")
    three.claim("mine")
    two.renew(card("two"))
    for session in ("lost", "theirs", "mine", "unclaimed"):
        client.set(keys.alive(session), 1)
    assert three.orphans() == ["lost"]
