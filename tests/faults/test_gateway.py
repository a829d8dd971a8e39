"""A gateway is killed: its clients go on at another one."""

import asyncio
import time
from pathlib import Path

from tests.faults.figures import Figures
from tests.faults.link import Link
from tests.faults.service import service
from tests.faults.unharmed import no_leak, unharmed
from tests.faults.user import user


async def test_a_killed_gateway(tmp_path: Path, checkpoint: Path, figures: Figures) -> None:
    with service(tmp_path, checkpoint) as parts:
        first, second = parts.gateway("first"), parts.gateway("second")
        parts.worker("one")
        parts.ready()
        # Where the user connects to: a load balancer's address.
        with Link(first.port) as link:
            async with (
                no_leak(second),
                user(second.url) as other,
                user(f"http://127.0.0.1:{link.port}") as victim,
            ):
                async with unharmed(other):
                    frames = await victim.frames()
                    answer = await victim.begun()
                    read = answer.text
                    pieces = len(victim.events("response.output_text.delta"))
                    first.kill()
                    link.leads_to = second.port
                    at = time.monotonic()
                    await answer
                    assert answer.status == "incomplete"
                    assert answer.text.startswith(read) and len(answer.text) > len(read)
                    numbers = [e["event_id"] for _, e in victim.told if e["type"] != "error"]
                    assert len(numbers) == len(set(numbers)), "an event came twice"
                    assert len(victim.events("response.output_text.delta")) > pieces
                    deltas = "".join(
                        event["delta"]
                        for event in victim.events("response.output_text.delta")
                        if event["response_id"] == answer.id
                    )
                    assert deltas == answer.text, "a piece was lost or came twice"
                    back = await victim.answered(at)
                    # The camera goes on there, too, and the memory is the one it was.
                    await victim.seeing(at)
                    assert await victim.frames() > frames
                assert not victim.events("lookback.session.moved")
            await asyncio.to_thread(link.cut)
        figures.note(
            "gateway killed in mid-answer, clients go to another one",
            "nothing by Lookback's clients: they connect again and get the rest of the answer",
            back,
            "pictures that came meanwhile",
        )
