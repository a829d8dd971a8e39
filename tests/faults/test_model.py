"""A session makes the model raise, or takes more memory than there is."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lookback_client import SessionLost
from tests.faults.figures import Figures
from tests.faults.part import Gateway
from tests.faults.service import Service, service
from tests.faults.unharmed import no_leak, unharmed
from tests.faults.user import user


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path) -> Iterator[Service]:
    with service(tmp_path_factory.mktemp("parts"), checkpoint) as made:
        made.gateway()
        made.worker("one", program="tests.faults.fragile_worker")
        made.ready()
        yield made


@pytest.mark.parametrize(
    ("question", "words", "fault"),
    [
        ("nothing", "not numbers", "a session's numbers are damaged (NaN)"),
        ("misshapen", "size|shape", "a session makes the model raise"),
        ("enormous", "memory", "out of the device's memory (the allocator's limit)"),
    ],
)
async def test_a_session_that_the_model_cannot_bear(
    parts: Service, figures: Figures, question: str, words: str, fault: str
) -> None:
    gateway, worker = parts.parts
    assert isinstance(gateway, Gateway)
    async with (
        no_leak(gateway),
        user(gateway.url) as victim,
        user(gateway.url) as other,
    ):
        card = parts.card(worker)
        assert card is not None
        async with unharmed(other):
            # In the same batches as what fails: not a letter of it is lost.
            answer = await other.begun(400)
            at = time.monotonic()
            with pytest.raises(SessionLost, match=words) as lost:
                await victim.ask(question)
            assert lost.value.reason == "failed"
            assert "The model failed on this session" in str(lost.value)
            await victim.until("lookback.session.closed")
            done = victim.events("response.done")[-1]["response"]
            assert done["status"] == "failed" and done["status_details"]["message"]
            assert len((await answer).text) == 400
        async with user(gateway.url) as new:
            back = await new.answered(at)
        async with asyncio.timeout(30):
            while (now := parts.card(worker)) is None or now.sessions != 1:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        assert now.worker == card.worker, "the process is the same"
        assert now.kv_bytes_used == now.kv_bytes_per_session, "its memory is free"
    figures.note(
        fault,
        "`response.done` failed with the model's error, then `lookback.session.closed` (failed)",
        back,
        "that session",
    )
