"""One publisher at a time, whoever came last; states are told to everybody."""

import asyncio
from typing import Any

import pytest

from server.cameras import Cameras, State
from server.errors import ClientError
from server.feed import FrameFeed
from server.settings import GatewaySettings


class Sender:
    """A publisher that does nothing."""

    def __init__(self, cameras: Cameras) -> None:
        self._cameras = cameras
        self.id = "known"
        self.state: State = "connecting"
        self.why = ""
        self.closed = 0

    async def begin(self) -> str:
        return "begun"

    async def refuse(self) -> str:
        raise ClientError("no", "No.")

    def become(self, state: State) -> None:
        self.state = state
        self._cameras.changed(self)

    async def close(self) -> None:
        self.closed += 1
        self.become("gone")


class Elsewhere(Sender):
    """Another kind."""


@pytest.fixture
def told() -> list[Any]:
    return []


@pytest.fixture
def cameras(told: list[Any]) -> Cameras:
    feed = FrameFeed("s", GatewaySettings(), None, (96, 96), 9216, lambda message: None)
    return Cameras("s", feed, told.append)


async def test_the_later_replaces_the_earlier(cameras: Cameras, told: list[Any]) -> None:
    assert cameras.event() is None and "start the camera" in cameras.advice
    assert not cameras.busy
    first, second = Sender(cameras), Sender(cameras)
    assert await cameras.replace(first, first.begin) == "begun"
    first.become("live")
    assert cameras.busy and [e["camera"]["state"] for e in told] == ["connecting", "live"]
    await cameras.replace(second, second.begin)
    assert (first.closed, second.closed) == (1, 0)
    first.become("stalled")  # nobody cares any more
    assert [e["camera"]["state"] for e in told[2:]] == ["connecting"]


async def test_what_a_camera_waits_for_is_part_of_the_advice(cameras: Cameras) -> None:
    sender = Sender(cameras)
    await cameras.replace(sender, sender.begin)
    assert cameras.advice.endswith("ask again in a moment")
    sender.why = "waits for a keyframe"
    assert "still connecting" in cameras.advice and "waits for a keyframe" in cameras.advice
    sender.become("gone")
    assert "keyframe" not in cameras.advice


async def test_one_that_is_refused_changes_nothing(cameras: Cameras) -> None:
    first, second = Sender(cameras), Sender(cameras)
    await cameras.replace(first, first.begin)
    with pytest.raises(ClientError):
        await cameras.replace(second, second.refuse)
    assert first.closed == 0 and cameras.described()["state"] == "connecting"


async def test_two_at_once_leave_one(cameras: Cameras) -> None:
    senders = [Sender(cameras) for _ in range(5)]
    await asyncio.gather(*(cameras.replace(sender, sender.begin) for sender in senders))
    assert sorted(sender.closed for sender in senders) == [0, 1, 1, 1, 1]


async def test_one_is_found_by_its_id_and_its_class(cameras: Cameras) -> None:
    sender = Sender(cameras)
    await cameras.replace(sender, sender.begin)
    assert cameras.named("known", Sender) is sender
    for identity, kind in (("unknown", Sender), ("\ud800", Sender), ("known", Elsewhere)):
        with pytest.raises(ClientError) as refused:
            cameras.named(identity, kind)
        assert (refused.value.code, refused.value.status) == ("unknown_camera", 404)
    await sender.close()
    assert cameras.named("known", Sender, gone=True) is sender
    with pytest.raises(ClientError):
        cameras.named("known", Sender)


async def test_after_the_end_nobody_is_let_in(cameras: Cameras) -> None:
    first, late = Sender(cameras), Sender(cameras)
    await cameras.replace(first, first.begin)
    await cameras.close()
    assert first.closed == 1
    with pytest.raises(ClientError, match="There is no session"):
        await cameras.replace(late, late.begin)
    assert late.closed == 1
