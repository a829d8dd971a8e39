"""Who holds a session, told over a real broker."""

import time
from collections.abc import Iterator

import pytest
from redis import Redis

from broker.connection import connect
from broker.embedded import EmbeddedBroker
from messages import keys
from messages.codec import decode_card
from messages.workers import WorkerCard
from model_worker import leases
from model_worker.leases import Lease, Leases


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


def waiting(client: "Redis", *sessions: str) -> None:
    for turn, session in enumerate(sessions):
        client.set(keys.alive(session), 1)
        client.zadd(keys.QUEUE, {session: turn})


def held(leases: Leases, session: str, *, give_way: bool = False) -> Lease:
    lease = leases.claim(session, 10, 0.0, give_way=give_way)
    assert isinstance(lease, Lease)
    return lease


def written(client: "Redis", leases: Leases, lease: Lease, *messages: bytes) -> list[int]:
    pipe = client.pipeline(transaction=False)
    leases.write(pipe, lease, messages)
    return list(pipe.execute())


def test_one_of_two_workers_gets_a_session(client: "Redis") -> None:
    one, two = Leases(client, "one"), Leases(client, "two")
    assert one.claim("s", 10, 0.0, give_way=False) == "gone"  # nobody waits
    waiting(client, "s")
    assert (held(one, "s").fence, one.kv_bytes) == (1, 10)
    assert two.claim("s", 10, 0.0, give_way=False) == "gone"
    assert ("s" in one, "s" in two, len(two)) == (True, False, 0)
    assert client.zcard(keys.QUEUE) == 0


def test_a_session_that_nobody_wants_any_more_leaves_the_queue(client: "Redis") -> None:
    waiting(client, "s")
    client.delete(keys.alive("s"))
    assert Leases(client, "one").claim("s", 1, 0.0, give_way=False) == "gone"
    assert client.zcard(keys.QUEUE) == 0


def test_a_worker_gives_way_to_the_living_one_with_more_room(client: "Redis") -> None:
    one, two = Leases(client, "one"), Leases(client, "two")
    waiting(client, "s")
    one.offer(100)
    two.offer(200)
    held(one, "s", give_way=True)  # two has shown no card: it does not live
    waiting(client, "t")
    two.renew(card("two"))
    assert one.claim("t", 1, 0.0, give_way=True) == "another's"
    assert held(two, "t", give_way=True).worker == "two"
    waiting(client, "u")
    assert held(one, "u", give_way=False)  # the other had its time


def test_renewing_shows_the_card_and_keeps_the_sessions(client: "Redis") -> None:
    one = Leases(client, "one")
    waiting(client, "s")
    held(one, "s")
    assert one.renew(card("one")) == ([], [])
    assert decode_card(client.get(keys.worker("one"))) == card("one")
    assert 0 < client.ttl(keys.worker("one")) <= keys.CARD_TTL_SECONDS
    assert client.get(keys.owner("s")) == b"one 1"
    assert 0 < client.pttl(keys.owner("s")) <= 1000 * keys.LEASE_SECONDS
    one.farewell()
    assert not client.exists(keys.worker("one"))


def test_a_broker_that_began_anew_is_told_again_who_holds_what(client: "Redis") -> None:
    one, two = Leases(client, "one"), Leases(client, "two")
    waiting(client, "s")
    held(one, "s")
    client.flushall()
    waiting(client, "s")  # its gateway looks for a worker, since nobody holds it
    assert one.renew(card("one")) == ([], [])
    assert client.get(keys.owner("s")) == b"one 1"
    assert two.claim("s", 1, 0.0, give_way=False) == "gone"


def test_what_is_said_to_a_broker_that_began_anew_is_said_by_the_owner(client: "Redis") -> None:
    one, two = Leases(client, "one"), Leases(client, "two")
    waiting(client, "s")
    lease = held(one, "s")
    client.flushall()
    waiting(client, "s")
    assert written(client, one, lease, b"a") == [1]  # before its next sign of life
    assert one.store(lease, keys.snapshot("s"), b"memory", 60)
    assert two.claim("s", 1, 0.0, give_way=False) == "gone"
    assert client.zcard(keys.QUEUE) == 0


def test_a_lease_that_ran_out_is_taken_again_only_if_nobody_has_had_it(client: "Redis") -> None:
    one, two = Leases(client, "one"), Leases(client, "two")
    waiting(client, "s")
    held(one, "s")
    client.delete(keys.owner("s"))
    assert one.renew(card("one")) == ([], [])  # it was only slow
    client.delete(keys.owner("s"))
    waiting(client, "s")
    assert held(two, "s").fence == 2
    assert one.renew(card("one")) == ([], ["s"])
    assert "s" not in one
    # Nor when the later owner is gone, too.
    waiting(client, "t")
    lease = held(one, "t")
    client.delete(keys.owner("t"))
    waiting(client, "t")
    pipe = client.pipeline()
    two.release(pipe, held(two, "t"))
    pipe.execute()
    assert not client.exists(keys.owner("t"))
    assert one.renew(card("one"))[1] == ["t"]
    assert written(client, one, lease, b"stale") == [0]


def test_the_writes_of_a_stale_worker_are_refused(client: "Redis") -> None:
    one, two = Leases(client, "one"), Leases(client, "two")
    waiting(client, "s")
    stale = held(one, "s")
    assert written(client, one, stale, b"a", b"b") == [1]
    client.delete(keys.owner("s"))
    waiting(client, "s")
    fresh = held(two, "s")
    assert written(client, one, stale, b"c") == [0]
    assert not one.store(stale, keys.snapshot("s"), b"old", 60)
    pipe = client.pipeline()
    one.release(pipe, stale)
    one.give_back(pipe, stale, 0.0)
    assert pipe.execute() == [0, 0]
    assert written(client, two, fresh, b"d") == [1]
    assert two.store(fresh, keys.snapshot("s"), b"new", 60)
    said = [fields[keys.FIELD] for _, fields in client.xrange(keys.events("s"))]
    assert said == [b"a", b"b", b"d"]
    assert client.get(keys.snapshot("s")) == b"new"
    assert client.get(keys.owner("s")) == b"two 2"
    assert 0 < client.ttl(keys.events("s")) <= keys.EVENTS_TTL_SECONDS


def test_a_session_that_nobody_keeps_alive_is_abandoned(
    client: "Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    one, now = Leases(client, "one"), 100.0
    monkeypatch.setattr(leases.time, "monotonic", lambda: now)
    waiting(client, "s", "kept")
    held(one, "s")
    held(one, "kept")
    client.delete(keys.alive("s"))
    now += keys.ALIVE_TTL_SECONDS + leases.ABANDONED_SECONDS
    assert one.renew(card("one")) == ([], [])
    now += 1
    assert one.renew(card("one")) == (["s"], [])
    one.forgive()
    assert one.renew(card("one")) == ([], [])


def test_a_released_session_leaves_its_fence_and_for_a_while_its_events(client: "Redis") -> None:
    one = Leases(client, "one")
    waiting(client, "s")
    lease = held(one, "s")
    for key in (keys.frames, keys.inbox):
        client.xadd(key("s"), {keys.FIELD: b""})
    for key in (keys.session, keys.snapshot):
        client.set(key("s"), b"")
    client.delete(keys.alive("s"))
    assert written(client, one, lease, b"the last") == [1]
    pipe = client.pipeline()
    one.release(pipe, lease)
    assert pipe.execute() == [1]
    assert set(client.scan_iter("lookback:*:s")) == {
        keys.fence("s").encode(),
        keys.events("s").encode(),
    }
    assert 0 < client.ttl(keys.events("s")) <= keys.ENDED_TTL_SECONDS
    assert client.ttl(keys.fence("s")) > 0


def test_a_session_that_is_handed_over_waits_before_the_others(client: "Redis") -> None:
    one, two = Leases(client, "one"), Leases(client, "two")
    waiting(client, "s", "new")
    lease = held(one, "s")
    pipe = client.pipeline()
    one.give_back(pipe, lease, keys.FIRST_IN_LINE)
    assert pipe.execute() == [1]
    one.forget("s")
    assert client.zrange(keys.QUEUE, 0, -1) == [b"s", b"new"]
    assert held(two, "s").fence == 2


def test_a_lease_runs_out_by_itself(client: "Redis", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "_LEASE", 50)
    waiting(client, "s")
    held(Leases(client, "one"), "s")
    time.sleep(0.1)
    assert not client.exists(keys.owner("s"))


def dead(client: "Redis", worker: str, session: str, *, alone: bool = False) -> Lease:
    """A worker takes a session that waits, and dies with it: its lease."""
    waiting(client, session)
    lease = held(Leases(client, worker), session)
    client.delete(keys.owner(session))  # it ran out
    if alone:
        client.set(keys.hand(worker), session)
    return lease


def test_workers_that_died_with_a_session_are_counted(client: "Redis") -> None:
    assert (dead(client, "one", "s").deaths, dead(client, "two", "s").deaths) == (0, 1)
    waiting(client, "s", "t")
    third = Leases(client, "three")
    lease = held(third, "s")
    assert (lease.deaths, lease.alone, lease.deadly) == (2, False, False)
    assert held(third, "t").deaths == 0


def test_a_session_that_was_worked_on_alone_when_a_second_worker_died_is_deadly(
    client: "Redis",
) -> None:
    first = dead(client, "one", "s", alone=True)
    assert not first.deadly
    second = dead(client, "two", "s", alone=True)
    assert (second.deaths, second.alone, second.deadly) == (1, True, False), "one death is chance"
    waiting(client, "s")
    lease = held(Leases(client, "three"), "s")
    assert (lease.deaths, lease.alone, lease.deadly) == (2, True, True)


def test_what_a_worker_had_beside_the_deadly_session_is_not_deadly(client: "Redis") -> None:
    for worker in ("one", "two"):
        dead(client, worker, "s", alone=True)
        dead(client, worker, "t")
    waiting(client, "s", "t")
    third = Leases(client, "three")
    assert (held(third, "s").deadly, held(third, "t").deadly) == (True, False)


def test_a_session_that_is_always_there_when_workers_die_is_deadly(client: "Redis") -> None:
    for place in range(leases.MOST_DEATHS):
        assert not dead(client, f"w{place}", "s").deadly
    assert dead(client, "last", "s").deadly


def test_a_worker_that_gives_a_session_back_has_not_died_with_it(client: "Redis") -> None:
    waiting(client, "s")
    one = Leases(client, "one")
    lease = held(one, "s")
    pipe = client.pipeline(transaction=False)
    one.give_back(pipe, lease, 0.0)
    assert pipe.execute() == [1]
    assert held(Leases(client, "two"), "s").deaths == 0


def test_a_worker_that_was_only_stopped_or_cut_off_has_not_died(client: "Redis") -> None:
    one, two, three = (Leases(client, name) for name in ("one", "two", "three"))
    waiting(client, "s")
    held(one, "s")
    client.delete(keys.owner("s"))
    client.set(keys.hand("one"), "s")
    waiting(client, "s")
    assert held(two, "s").deaths == 1
    one.survived("s")  # it goes on
    client.delete(keys.owner("s"))
    two.renew(card("two"))  # lives, though its lease was taken from it
    client.delete(keys.owner("s"))
    waiting(client, "s")
    assert held(three, "s").deaths == 0


def test_a_death_counts_for_some_minutes(client: "Redis") -> None:
    dead(client, "one", "s")
    dead(client, "two", "s")
    client.hincrby(keys.former("s"), "one", -keys.DEATHS_SECONDS - 1)
    waiting(client, "s")
    assert held(Leases(client, "three"), "s").deaths == 1
    # The broker's clock was set back: nobody knows when that was.
    client.hincrby(keys.former("s"), "two", 3600)
    client.delete(keys.owner("s"))
    waiting(client, "s")
    assert held(Leases(client, "four"), "s").deaths == 1


def test_the_dead_are_forgotten_with_the_session(client: "Redis") -> None:
    dead(client, "one", "s")
    waiting(client, "s")
    two = Leases(client, "two")
    pipe = client.pipeline(transaction=False)
    two.release(pipe, held(two, "s"))
    assert pipe.execute() == [1]
    assert not client.exists(keys.former("s"))
