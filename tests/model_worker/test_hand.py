"""What a worker works on alone, as a real broker knows it."""

import socket
import time

import pytest

from broker.connection import connect, hasty
from broker.embedded import EmbeddedBroker
from messages import keys
from model_worker import hand as module
from model_worker.hand import HASTY_SECONDS, Hand


def test_the_broker_knows_it_while_it_is_worked_on() -> None:
    with EmbeddedBroker() as broker, connect(broker.url) as client:
        hand = Hand(hasty(broker.url, HASTY_SECONDS), "one")
        with hand.holding("s"):
            assert client.get(keys.hand("one")) == b"s"
            assert 0 < client.ttl(keys.hand("one")) <= keys.DEATHS_SECONDS
        assert not client.exists(keys.hand("one"))
        with pytest.raises(ValueError, match="its own"), hand.holding("t"):
            raise ValueError("its own")
        with hand.holding(None):
            assert not client.exists(keys.hand("one"))


def test_a_broker_that_is_silent_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_SECONDS", 30.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        hand = Hand(hasty(f"redis://127.0.0.1:{port}", 0.05), "one")
        began = time.monotonic()
        worked = 0
        for _ in range(100):
            with hand.holding("s"):
                worked += 1
        assert worked == 100
        assert time.monotonic() - began < 3


def test_what_could_not_be_cleared_is_cleared_with_the_next() -> None:
    with EmbeddedBroker() as broker, connect(broker.url) as client:
        hand = Hand(hasty(broker.url, HASTY_SECONDS), "one")
        with hand.holding("s"):
            hand._not_before = float("inf")
        assert client.get(keys.hand("one")) == b"s"
        hand._not_before = 0.0
        with hand.holding("t"):
            pass
        assert not client.exists(keys.hand("one"))
