"""A part starts again when it fails, not when it cannot run, and stops when told."""

import asyncio
import sys
from collections.abc import Awaitable
from pathlib import Path

import pytest

from lookback import part
from lookback.part import Part, PartError
from tests.lookback.conftest import eventually


@pytest.fixture
def said() -> list[str]:
    return []


def made(program: str, said: list[str]) -> Part:
    """A part that runs a Python program."""
    result = Part("part", [], {}, said.append)
    result._command = [sys.executable, "-c", program]
    return result


async def within(work: Awaitable[None], what: str, seconds: float = 30.0) -> None:
    try:
        await asyncio.wait_for(work, seconds)
    except TimeoutError:
        pytest.fail(f"there was no {what} within {seconds:.0f} s")


async def test_it_starts_again_with_growing_waits(
    said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part, "FIRST_WAIT_SECONDS", 0.01)
    log = tmp_path / "log"
    running = made(f"open({str(log)!r}, 'a').write('x'); raise SystemExit(3)", said)
    task = asyncio.create_task(running.run())
    await asyncio.to_thread(eventually, lambda: log.exists() and len(log.read_text()) > 3, "log")
    await within(running.stop(), "stop of the part")
    task.cancel()
    assert "ended with status 3" in said[0]
    waits = [float(line.split(" in ")[1].split()[0]) for line in said]
    assert waits == sorted(waits)


async def test_it_does_not_start_again_what_cannot_run(said: list[str]) -> None:
    with pytest.raises(PartError, match="part cannot run"):
        await made("raise SystemExit(78)", said).run()


async def test_one_that_ignores_sigterm_is_killed(
    said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part, "STOP_SECONDS", 0.3)
    ready = tmp_path / "ready"
    program = "import pathlib, signal, time; signal.signal(15, signal.SIG_IGN)"
    running = made(f"{program}; pathlib.Path({str(ready)!r}).touch(); time.sleep(600)", said)
    task = asyncio.create_task(running.run())
    await asyncio.to_thread(eventually, ready.exists, "sign of the program")
    await within(running.stop(), "stop of the part")
    await within(task, "end of what watches over it")
    assert running.pid is None
    assert said == ["The part does not stop; killing it."]


async def test_one_that_is_just_being_started_is_stopped_too(said: list[str]) -> None:
    running = made("import time; time.sleep(600)", said)
    task = asyncio.create_task(running.run())
    await asyncio.sleep(0)  # the process runs by now, and asyncio has not yet handed it over
    assert running.pid is None
    await within(running.stop(), "stop of the part")
    await within(task, "end of what watches over it")
    assert running.pid is None
    assert said == []
