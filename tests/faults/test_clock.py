"""The wall clocks of gateway, worker and broker jump by an hour, ahead and back."""

import asyncio
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.figures import Figures
from tests.faults.part import Gateway
from tests.faults.service import Service, service
from tests.faults.unharmed import no_leak
from tests.faults.user import user

LIBRARY = "*/faketime/libfaketime.so.1"


class Clock:
    """The wall clock of some processes; their monotonic clocks are left alone. `file` says how far
    it is from the true time, in seconds."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.jump(0)

    def jump(self, seconds: int) -> None:
        """To so far from the true time."""
        partial = self.file.with_suffix(".partial")
        partial.write_text(f"{seconds:+d}")
        partial.replace(self.file)

    def preloaded(self, library: Path) -> dict[str, str]:
        """For a program that is none of Python's."""
        return {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }


@dataclass(frozen=True)
class Parts:
    service: Service
    gateway: Gateway
    clocks: dict[str, Clock]


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path) -> Iterator[Parts]:
    folder = tmp_path_factory.mktemp("parts")
    found = list(Path("/usr/lib").glob(LIBRARY))
    if not found:
        assert os.environ.get("CI") != "true", "install libfaketime"
        pytest.skip("libfaketime is not installed")
    clocks = {name: Clock(folder / name) for name in ("broker", "gateway", "worker")}
    more = {name: {"SKEWED_CLOCK": str(clock.file)} for name, clock in clocks.items()}
    with service(folder, checkpoint, clocks["broker"].preloaded(found[0])) as made:
        gateway = made.gateway(more=more["gateway"])
        made.worker("one", program="tests.faults.skewed_worker", more=more["worker"])
        made.ready()
        yield Parts(made, gateway, clocks)


@pytest.mark.parametrize("whose", ["worker", "gateway", "broker"])
async def test_a_clock_that_jumps(parts: Parts, figures: Figures, whose: str) -> None:
    gateway = parts.gateway
    async with no_leak(gateway), user(gateway.url) as one, user(gateway.url) as two:
        frames = await one.frames()
        backs = []
        for hours in (-1, 0, 1, 0):
            answer = await one.begun(100)
            parts.clocks[whose].jump(3600 * hours)
            at = time.monotonic()
            assert (await answer).status == "incomplete"
            backs.append(await one.answered(at))
            await one.seeing(at)
        # Longer than a session may be without a lease.
        await asyncio.sleep(2.0)
        assert (await two.ask("and you")).status == "incomplete"
        assert await one.frames() > frames
        for each in (one, two):
            moved = each.events("lookback.session.moved")
            assert all(event["restored"] for event in moved), moved
            assert each.lost is None
        async with user(gateway.url) as new:
            assert (await new.ask("new")).status == "incomplete"
    figures.note(
        f"the {whose}'s clock jumps by an hour, ahead and back",
        "nothing",
        max(backs),
        "nothing",
    )
