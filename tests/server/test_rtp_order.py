"""Packets come out in the order in which they were sent, each once, and nothing grows."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.rtp_counters import RtpCounters
from server.rtp_order import HOLD_SECONDS, MOST_HELD, MOST_HELD_BYTES, Ordered, PacketOrder
from server.rtp_packet import RtpPacket


def _packet(number: int, payload: bytes = b"x") -> RtpPacket:
    return RtpPacket(96, False, number & 0xFFFF, 0, 7, payload)


def _numbers(ordered: list[Ordered]) -> list[int]:
    return [packet.sequence for packet, _ in ordered]


def _ordered() -> tuple[PacketOrder, RtpCounters]:
    counters = RtpCounters()
    return PacketOrder(counters), counters


def test_the_first_packet_may_follow_anything() -> None:
    order, _ = _ordered()
    assert order.add(_packet(65535), 0.0) == [(_packet(65535), True)]
    assert order.add(_packet(0), 0.0) == [(_packet(0), False)]


def test_what_overtakes_waits_for_its_turn() -> None:
    order, counters = _ordered()
    order.add(_packet(65534), 0.0)
    assert order.add(_packet(1), 0.0) == order.add(_packet(0), 0.0) == []
    assert order.add(_packet(65535), 0.1) == [(_packet(n), False) for n in (65535, 0, 1)]
    assert counters == RtpCounters()


def test_a_lost_packet_is_waited_for_and_given_up() -> None:
    order, counters = _ordered()
    order.add(_packet(1), 0.0)
    order.add(_packet(4), 0.0)
    order.add(_packet(5), HOLD_SECONDS / 2)
    assert order.expire(HOLD_SECONDS) == []
    assert order.expire(HOLD_SECONDS + 0.01) == [(_packet(4), True), (_packet(5), False)]
    assert counters.packets_lost == 2
    assert order.add(_packet(3), 1.0) == []  # too late
    assert order.add(_packet(5), 1.0) == []  # twice
    assert counters.packets_late == 2
    assert order.add(_packet(6), 1.0) == [(_packet(6), False)]


def test_many_losses_hold_up_no_more_than_one() -> None:
    order, counters = _ordered()
    for number in range(2000):  # at 300 a second, every tenth is lost
        if number % 10:
            order.add(_packet(number), number / 300)
        assert len(order._held) <= HOLD_SECONDS * 300 + 1
    assert counters.packets_lost > 180


def test_a_packet_that_comes_twice_before_its_turn_is_held_once() -> None:
    order, counters = _ordered()
    order.add(_packet(1), 0.0)
    for _ in range(3):
        assert order.add(_packet(3), 0.0) == []
    assert _numbers(order.add(_packet(2), 0.0)) == [2, 3]
    assert counters.packets_late == 2


def test_another_sequence_begins_when_two_follow_one_another() -> None:
    order, counters = _ordered()
    order.add(_packet(1), 0.0)
    assert order.add(_packet(30_000), 0.0) == []  # strayed
    assert order.add(_packet(2), 0.0) == [(_packet(2), False)]
    assert order.add(_packet(40_000), 0.0) == []
    restarted = order.add(_packet(40_001), 0.0)
    assert restarted == [(_packet(40_000), True), (_packet(40_001), False)]
    assert _numbers(order.add(_packet(40_002), 0.0)) == [40_002]
    assert counters.packets_lost == 0


def test_what_is_held_has_bounds() -> None:
    order, counters = _ordered()
    order.add(_packet(0), 0.0)
    out = [order.add(_packet(n), 0.0) for n in range(2, MOST_HELD + 3)]
    assert sum(map(len, out)) == MOST_HELD + 1 and counters.packets_lost == 1
    order, counters = _ordered()
    order.add(_packet(0), 0.0)
    large = bytes(60_000)
    out = [order.add(_packet(n, large), 0.0) for n in range(2, 3 + MOST_HELD_BYTES // 60_000)]
    assert out[-1] and counters.packets_lost == 1


@given(st.integers(0, 65535), st.integers(0, 2**32), st.integers(0, 12))
@settings(max_examples=50)
def test_any_reordering_within_reach_is_undone(first: int, seed: int, reach: int) -> None:
    chance = random.Random(seed)
    numbers = [first + n for n in range(200)]
    sent = [numbers[0], *sorted(numbers[1:], key=lambda n: n + chance.uniform(0, reach))]
    order, counters = _ordered()
    out = [packet for n in sent for packet, _ in order.add(_packet(n), 0.0)]
    assert [packet.sequence for packet in out] == [n & 0xFFFF for n in numbers]
    assert counters.packets_lost == counters.packets_late == 0


@pytest.mark.parametrize("seed", range(3))
def test_any_numbers_are_survived(seed: int) -> None:
    chance = random.Random(seed)
    order, _ = _ordered()
    got = 0
    for step in range(20_000):
        number = chance.choice([step, chance.randrange(65536), step + chance.randrange(4000)])
        got += len(order.add(_packet(number), step / 1000))
        assert len(order._held) <= MOST_HELD
    assert got > 100
