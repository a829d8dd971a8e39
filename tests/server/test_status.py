"""The state of all that runs at a gateway, in numbers and in words."""

import asyncio

import httpx

from tests.server.clients import Client
from tests.server.peer import PeerWorker


async def test_a_session_that_is_watched_and_asked(
    gateway: str, seen: str, asker: Client, worker: PeerWorker
) -> None:
    await asker.ask("what is there")
    await asker.until("response.done")
    await asker.ask("slowly now")
    await asker.until("lookback.response.started")
    await asker.ask("and then")
    await asker.until("response.created")
    async with httpx.AsyncClient() as http:
        told = (await http.get(f"{gateway}/v1/status")).json()
    [session] = told["sessions"]
    assert (session["state"], session["camera"], session["camera_state"]) == (
        "watching",
        "webrtc",
        "live",
    )
    assert session["frames_sent"] >= 1 and session["tokens"] >= 9 and session["kv_bytes"] == 1000
    assert (session["answering"], session["questions_waiting"]) == (True, 1)
    assert session["websockets"] == 1
    latency = told["latency"]
    assert latency["answers"] >= 1 and 0 < latency["ttft_p50"] <= latency["ttft_p95"] < 60


async def test_a_session_whose_worker_is_lost_moves(
    gateway: str, seen: str, worker: PeerWorker
) -> None:
    worker.living = False

    async with httpx.AsyncClient(base_url=gateway) as http, asyncio.timeout(30):
        state = ""
        while state != "moving":
            await asyncio.sleep(0.1)
            told = (await http.get("/v1/status")).json()
            state = told["sessions"][0]["state"]
        text = (await http.get("/metrics")).text
    assert 'lookback_gateway_sessions{state="moving"} 1.0' in text
