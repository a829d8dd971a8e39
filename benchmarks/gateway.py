"""Cameras into one gateway process: what a stream costs it, and how old a frame is at its end.

Real WebRTC senders (VP8, 640×480, encoded beforehand, in a process of their own) send to a gateway
and, in turn with that, to a bare aiortc receiver that decodes and lets go. Both are connected to
all senders all the time; those of one side at a time send. `cpu_per_stream` and
`bare_cpu_per_stream` are seconds of processor time of the whole process per second and stream,
each the median of the rounds; `ratio` is the median of the rounds' ratios.

A frame's age runs from when its sender had it until the broker had it as a JPEG for the worker:
every frame carries its number as a bar code, which is read from the JPEG; the sender says when it
sent that number, and the broker when it got the JPEG. Both are processes of this machine, with one
clock. `frame_age_p50` and `frame_age_p99` are in seconds, over `frames` of all rounds.

A real worker watches the sessions, and counts for nothing.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from statistics import median
from typing import Any, Final

import httpx
import numpy as np

from benchmarks.barcode import HEIGHT, WIDTH, number_in
from benchmarks.errors import OptionError
from benchmarks.process import Process, free_port, read, ready
from broker.connection import connect_async
from broker.embedded import EmbeddedBroker
from messages import keys
from messages.codec import decode_frame

DESCRIPTION = "WebRTC cameras into one gateway: processor time of a stream, age of a frame"

_SETTLE_SECONDS: Final = 0.5  # between the sides, so that what is under way counts for nobody
_LONGEST_AGE: Final = 5.0


def run(
    *,
    streams: Sequence[int] = (1, 4, 8),
    fps: Sequence[float] = (30.0, 2.0),
    seconds: float = 6.0,
    rounds: int = 3,
    warm_up: float = 2.0,
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """seconds: of each side in each round; warm_up: seconds of each side at each point before.
    Raises OptionError."""
    if not 1 <= seconds <= 600:
        raise OptionError("--seconds of gateway is from 1 to 600")
    with EmbeddedBroker() as broker:
        points = asyncio.run(
            _points(broker.url, streams, fps, seconds, rounds, warm_up, progress), debug=False
        )
    return {
        "picture": f"{WIDTH}×{HEIGHT}, VP8",
        "rounds": rounds,
        "seconds": seconds,
        "highest_ratio": max(point["ratio"] for point in points),
        "points": points,
    }


async def _points(
    url: str,
    streams: Sequence[int],
    fps: Sequence[float],
    seconds: float,
    rounds: int,
    warm_up: float,
    progress: Callable[[str], None],
) -> list[dict[str, Any]]:
    async with AsyncExitStack() as stack:
        progress("starting a gateway, a worker and a bare receiver")
        sides = await stack.enter_async_context(_sides(url, max(streams)))
        points = []
        for rate in fps:
            progress(f"encoding {rate:g} frames a second")
            await sides.encode(rate)
            for count in streams:
                progress(f"{count} × {rate:g} frames a second")
                async with sides.connected(count, rate):
                    points.append(await _point(sides, count, rate, seconds, rounds, warm_up))
        return points


async def _point(
    sides: "_Sides", count: int, fps: float, seconds: float, rounds: int, warm_up: float
) -> dict[str, Any]:
    for side in (sides.gateway, sides.bare):
        await sides.measure(side, warm_up)
    costs: dict[int, list[float]] = {sides.gateway.pid: [], sides.bare.pid: []}
    ages: list[float] = []
    for number in range(rounds):
        order = [sides.gateway, sides.bare]
        for side in order if number % 2 == 0 else reversed(order):
            cost, seen = await sides.measure(side, seconds)
            costs[side.pid].append(cost / count)
            ages += seen
    own, bare = costs[sides.gateway.pid], costs[sides.bare.pid]
    return {
        "streams": count,
        "fps": fps,
        "cpu_per_stream": round(median(own), 5),
        "bare_cpu_per_stream": round(median(bare), 5),
        "ratio": round(median(a / b for a, b in zip(own, bare, strict=True)), 3),
        "frame_age_p50": round(float(np.percentile(ages, 50)), 4) if ages else None,
        "frame_age_p99": round(float(np.percentile(ages, 99)), 4) if ages else None,
        "frames": len(ages),
    }


class _Sides:
    """The senders, and who receives from them. A camera's id is even where the gateway gets it."""

    def __init__(
        self,
        senders: Process,
        gateway: Process,
        bare: Process,
        client: httpx.AsyncClient,
        broker: Any,
    ) -> None:
        self._senders = senders
        self.gateway = gateway
        self.bare = bare
        self._client = client
        self._broker = broker
        self._sessions: dict[int, str] = {}
        self._read_to: dict[str, Any] = {}

    async def encode(self, fps: float) -> None:
        """What the cameras are to send."""
        await self._senders.order("encode", fps=fps)

    @asynccontextmanager
    async def connected(self, count: int, fps: float) -> AsyncIterator[None]:
        """So many cameras on each side."""
        for number in range(count):
            await self._connect_gateway(2 * number, fps)
            offer = (await self._senders.order("connect", id=2 * number + 1, fps=fps))["offer"]
            answer = (await self.bare.order("offer", sdp=offer))["answer"]
            await self._senders.order("answer", id=2 * number + 1, sdp=answer)
        try:
            yield
        finally:
            await self._senders.order("close")
            await self.bare.order("close")
            for session in self._sessions.values():
                await self._client.delete(f"/v1/sessions/{session}")
            self._sessions.clear()
            self._read_to.clear()

    async def _connect_gateway(self, identity: int, fps: float) -> None:
        reply = await self._client.post("/v1/sessions", json={})
        session = self._sessions[identity] = read(reply)["id"]
        self._read_to[keys.frames(session)] = "0"
        offer = (await self._senders.order("connect", id=identity, fps=fps))["offer"]
        body = {"type": "offer", "sdp": offer}
        reply = await self._client.post(f"/v1/sessions/{session}/offer", json=body)
        await self._senders.order("answer", id=identity, sdp=read(reply)["sdp"])

    async def measure(self, side: Process, seconds: float) -> tuple[float, list[float]]:
        """Only this side's cameras send: its processor seconds a second, and the ages of the frames
        that the gateway handed on."""
        even = side is self.gateway
        sending = [2 * number + (not even) for number in range(len(self._sessions))]
        await self._senders.order("send", ids=sending)
        await asyncio.sleep(_SETTLE_SECONDS)
        # Told to end rather than cancelled: a reply that comes at that moment swallows it.
        measured = asyncio.Event()
        watching = asyncio.create_task(self._watch(measured))
        began, used = time.monotonic(), side.cpu_seconds()
        await asyncio.sleep(seconds)
        used, took = side.cpu_seconds() - used, time.monotonic() - began
        measured.set()
        frames = await watching
        sent = (await self._senders.order("times"))["times"]
        return used / took, self._ages(frames, sent) if even else []

    async def _watch(self, measured: asyncio.Event) -> list[tuple[str, float, bytes]]:
        """Until it is measured: of each frame that is handed on its session, when, and its JPEG."""
        found = []
        while not measured.is_set():
            for key, entries in await self._broker.xread(self._read_to, block=200):
                for entry, fields in entries:
                    self._read_to[key.decode()] = entry
                    frame = decode_frame(fields[keys.FIELD])
                    at = int(entry.partition(b"-")[0]) / 1000
                    found.append((frame.session, at, frame.jpeg))
        return found

    def _ages(self, frames: list[tuple[str, float, bytes]], sent: dict[str, Any]) -> list[float]:
        identities = {session: str(identity) for identity, session in self._sessions.items()}
        ages = []
        for session, at, jpeg in frames:
            number = number_in(jpeg)
            times = [when for which, when in sent[identities[session]] if which == number]
            past = [at - when for when in times if when <= at]
            if past and min(past) < _LONGEST_AGE:
                ages.append(min(past))
        return ages


@asynccontextmanager
async def _sides(url: str, sessions: int) -> AsyncIterator[_Sides]:
    port = free_port()
    settings = {
        "LOOKBACK_BROKER_URL": url,
        "LOOKBACK_PORT": str(port),
        "LOOKBACK_MAX_SESSIONS": str(2 * sessions),  # those before may just be closing
    }
    async with AsyncExitStack() as stack:

        async def start(*command: str) -> Process:
            return await stack.enter_async_context(Process.started(*command, **settings))

        senders = await start("benchmarks.senders")
        bare = await start("benchmarks.bare_receiver")
        gateway = await start("lookback", "gateway")
        await start("lookback", "worker")
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30)
        )
        await ready(client)
        broker = await connect_async(url)
        stack.push_async_callback(broker.aclose)
        yield _Sides(senders, gateway, bare, client, broker)
