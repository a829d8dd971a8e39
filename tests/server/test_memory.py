"""A memory is described when asked for, rarely, and never lost for being late."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from messages.memory import DescribeMemory, MemoryDescribed
from messages.sessions import MemoryStatus
from server import memory
from server.errors import broker_unavailable
from server.memory import Memory
from server.tasks import stop

DESCRIBED = MemoryDescribed(
    session="s", frames=[0.0, 1.5], patches=2, shares=b"\xff\x00\x80\x01", rows=1, columns=2,
    tokens=3, budget_tokens=8, cap_tokens=12, kv_bytes=96, bytes_per_token=8, span=(0.0, 1.5),
    next_compression_tokens=9, next_compaction_positions=None, compressions=1,
    position_compactions=0,
)  # fmt: skip


class Both:
    """A memory between two lists."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.sent: list[float] = []
        self.reachable = True
        self.memory = Memory("s", self.told.append, self._send)

    async def _send(self, message: DescribeMemory) -> None:
        if not self.reachable:
            raise broker_unavailable("gone")
        assert message == DescribeMemory("s")
        self.sent.append(time.monotonic())


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[Both]:
    both = Both()
    task = asyncio.create_task(both.memory.run())
    try:
        yield both
    finally:
        assert not task.done(), "it failed"
        await stop(task)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "DESCRIBE_SECONDS", 0.2)
    monkeypatch.setattr(memory, "_LOST_SECONDS", 0.6)


async def test_wishes_that_come_together_are_sent_once(tools: Any) -> None:
    async with running() as both:
        for _ in range(5):
            both.memory.describe()
        await tools.eventually(lambda: both.sent)
        both.memory.described(DESCRIBED)
        await asyncio.sleep(0.3)
        assert len(both.sent) == 1
        both.memory.describe()
        await tools.eventually(lambda: len(both.sent) == 2)


async def test_what_is_wished_too_early_is_sent_later(tools: Any) -> None:
    async with running() as both:
        for number in range(1, 4):
            both.memory.describe()
            await tools.eventually(lambda wanted=number: len(both.sent) == wanted)
            both.memory.described(DESCRIBED)
        assert both.sent[2] - both.sent[0] > 0.39


async def test_one_is_asked_for_at_a_time_and_a_late_answer_is_told(tools: Any) -> None:
    async with running() as both:
        both.memory.describe()
        await tools.eventually(lambda: both.sent)
        both.memory.describe()
        await asyncio.sleep(0.3)
        assert len(both.sent) == 1 and not both.told
        await tools.eventually(lambda: len(both.sent) == 2)  # the first one counts as lost
        both.memory.described(DESCRIBED)
        both.memory.described(DESCRIBED)
        assert len(both.told) == 2


async def test_every_field_is_told() -> None:
    both = Both()
    both.memory.described(DESCRIBED)
    [event] = both.told
    assert event["type"] == "lookback.memory.described"
    description = event["description"]
    fields = {*MemoryDescribed.__struct_fields__} - {"session"}
    assert set(description) == fields
    assert description["shares"] == "/wCAAQ=="
    assert all(description[name] == getattr(DESCRIBED, name) for name in fields - {"shares"})


async def test_a_request_that_cannot_be_sent_is_told(tools: Any) -> None:
    async with running() as both:
        both.reachable = False
        both.memory.describe()
        await tools.eventually(lambda: both.told)
        assert both.told[0]["error"]["code"] == "broker_unavailable"
        both.reachable = True
        both.memory.describe()
        await tools.eventually(lambda: both.sent)


async def test_the_state_is_told_and_known() -> None:
    both = Both()
    assert both.memory.event() is None and both.memory.frames_seen == 0
    both.memory.update(MemoryStatus("s", 9, 9, 12, 96, 2, 1, 0, (0.0, 1.0), time.time() - 5))
    [event] = both.told
    assert both.memory.frames_seen == event["memory"]["frames_seen"] == 2
    assert 4.9 < event["memory"]["newest_frame_age"] < 10
