"""Virtual clients of a service, in a process of their own.

`python -m benchmarks.crowd` takes a JSON object a line and answers each with one: `meet` (`url`,
`think`, `tokens`, `stay`) before anything else; `be` (`clients`, `askers`, `every`: one in so many
has a WebRTC camera, 0: none) makes so many; `measure` (`seconds`) counts what happens from now on.
"""

import asyncio
import logging
import time
from typing import Any, Final

import cv2
import httpx

from benchmarks.scenes import Stream, read_scenes
from benchmarks.senders import Senders, serve, use_loopback
from benchmarks.tally import Tally, percentile
from benchmarks.virtual_client import HUNG_SECONDS, Behaviour, VirtualClient, World

_PICTURES: Final = 60
_SIZE: Final = (640, 480)
_WEBRTC_FPS: Final = 5.0


class Crowd:
    """All clients of the process."""

    def __init__(self) -> None:
        self._clients: list[VirtualClient] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._world: World | None = None
        self._http: httpx.AsyncClient | None = None
        self._encoded = False

    async def do(self, order: dict[str, Any]) -> dict[str, Any]:
        """Carries out one order."""
        match order["do"]:
            case "meet":
                await self._meet(order)
            case "be":
                await self._be(order["clients"], order["askers"], order["every"])
            case "measure":
                return await self._measure(order["seconds"])
        return {}

    async def _meet(self, order: dict[str, Any]) -> None:
        behaviour = Behaviour(
            order["url"],
            pictures(),
            order["think"],
            order["tokens"],
            stay=order["stay"],
        )
        self._http = httpx.AsyncClient(base_url=order["url"], timeout=HUNG_SECONDS)
        self._world = World(behaviour, Senders())

    async def _be(self, clients: int, askers: int, every: int) -> None:
        """Those that are there stay, unless each is to have more askers."""
        assert self._world is not None
        world = self._world
        if askers != world.behaviour.askers:
            await self._go(0)
        world.behaviour.askers = askers
        if every and not self._encoded:
            self._encoded = True  # it takes a moment in which nobody else is served
            await world.senders.do({"do": "encode", "fps": _WEBRTC_FPS})
        await self._go(clients)
        for number in range(len(self._clients), clients):
            webrtc = bool(every) and number % every == 1 % every
            client = VirtualClient(
                world, number, webrtc=webrtc, chat=number % 2 == 1, naive=number % 4 >= 2
            )
            self._clients.append(client)
            self._tasks.append(asyncio.create_task(client.live()))

    async def _go(self, clients: int) -> None:
        """All but the first so many."""
        leaving = self._tasks[clients:]
        del self._tasks[clients:], self._clients[clients:]
        for task in leaving:
            task.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)

    async def _measure(self, seconds: float) -> dict[str, Any]:
        assert self._world is not None
        world = self._world
        tally = Tally()
        dropped = await self._dropped(tally)
        world.tally = tally
        began, used = time.monotonic(), time.process_time()
        await asyncio.sleep(seconds)
        world.tally = Tally()
        took, used = time.monotonic() - began, time.process_time() - used
        for task in self._tasks:
            if task.done():
                task.result()
        accepted = sum(client.session is not None for client in self._clients)
        later = await self._dropped(tally)
        return {
            "accepted": accepted,
            "refused": len(self._clients) - accepted,
            "hung": tally.hung,
            "questions_refused": tally.questions_refused,
            "answers_per_second": round(tally.answers / took, 2),
            "ttft_p50": percentile(tally.first_tokens, 50),
            "ttft_p99": percentile(tally.first_tokens, 99),
            "frame_age_p50": percentile(tally.frame_ages, 50),
            "frame_age_p99": percentile(tally.frame_ages, 99),
            "dropped": sum(count - dropped.get(name, 0) for name, count in later.items()),
            "entered": tally.entered,
            "answers": tally.answers,
            "crowd_cpu": round(used / took, 3),
            "told": tally.told(),
            "failed": dict(tally.failed),
        }

    async def _dropped(self, tally: Tally) -> dict[str, int]:
        """Frames that were lost so far, at the gateway or the worker, by session."""
        http = self._http
        assert http is not None
        sessions = [client.session for client in self._clients if client.session is not None]
        asked = (http.get(f"/v1/sessions/{session}") for session in sessions)
        replies = await asyncio.gather(*asked, return_exceptions=True)
        found = {}
        for session, reply in zip(sessions, replies, strict=True):
            if isinstance(reply, httpx.TimeoutException):
                tally.hung += 1
            elif isinstance(reply, BaseException):
                tally.failed[f"{type(reply).__name__}: {reply}"[:120]] += 1
            elif reply.status_code == 200:
                state = reply.json()
                memory, lost = state["memory"], state["camera"]["frames_dropped"]
                found[session] = max(lost, memory["frames_dropped"] if memory else 0)
        return found


def pictures() -> list[bytes]:
    """JPEGs of 640×480, no two in a row alike."""
    stream = Stream(read_scenes((96, 96), 96 * 96), 0)
    made = []
    for _ in range(_PICTURES):
        large = cv2.resize(stream.next(), _SIZE, interpolation=cv2.INTER_LINEAR)
        done, jpeg = cv2.imencode(".jpg", cv2.cvtColor(large, cv2.COLOR_RGB2BGR))
        assert done
        made.append(jpeg.tobytes())
    return made


if __name__ == "__main__":
    logging.getLogger().setLevel(logging.ERROR)
    use_loopback()
    asyncio.run(serve(Crowd().do))
