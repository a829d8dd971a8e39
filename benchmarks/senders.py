"""Cameras over WebRTC that cost little, in a process of their own: VP8 that was encoded before.

`python -m benchmarks.senders` takes a JSON object a line and answers each with one: `encode`
(`fps`) before anything else of that rate; `connect` (`id`, `fps`) with an `offer`; `answer` (`id`,
`sdp`); `send` (`ids`: these and no others send); `times` with, for each id, `[number of the frame,
Unix seconds]` of the latest that were sent since it was last asked; `start` and `end` (`id`) are
for one camera; `close` ends all connections.
"""

import asyncio
import json
import logging
import sys
import time
from collections import deque
from fractions import Fraction
from typing import Any, Final

import aioice.ice
import av
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from benchmarks.barcode import MOST, clip

CLIP_SECONDS: Final = 8.0
_TIMES: Final = 10_000
_TIME_BASE: Final = Fraction(1, 90000)


class ClipTrack(MediaStreamTrack):  # type: ignore[misc]  # aiortc comes without types
    """Plays a clip's frames in a circle, while `going` is set."""

    kind = "video"

    def __init__(self, frames: list[bytes], fps: float) -> None:
        super().__init__()
        self._frames = frames
        self._period = 1.0 / fps
        self._next = time.monotonic()
        self._count = 0
        self._began = self._next
        self.going = asyncio.Event()
        self.times: deque[tuple[int, float]] = deque(maxlen=_TIMES)

    async def recv(self) -> "av.Packet[Any]":
        """The next frame, at its time."""
        await asyncio.sleep(self._next - time.monotonic())
        if not self.going.is_set():
            await self.going.wait()
            self._next = time.monotonic()
        number = self._count % len(self._frames)
        packet = av.Packet(self._frames[number])
        packet.pts = int((self._next - self._began) * 90000)
        packet.time_base = _TIME_BASE
        self._count += 1
        self._next += self._period
        self.times.append((number, time.time()))
        return packet


class Senders:
    """All cameras of the process."""

    def __init__(self) -> None:
        self._clips: dict[float, list[bytes]] = {}
        self._peers: dict[int, RTCPeerConnection] = {}
        self._tracks: dict[int, ClipTrack] = {}

    async def do(self, order: dict[str, Any]) -> dict[str, Any]:
        """Carries out one order."""
        match order["do"]:
            case "encode":
                frames = min(MOST, max(2, int(order["fps"] * CLIP_SECONDS)))
                self._clips[order["fps"]] = clip(order["fps"], frames)
            case "connect":
                return {"offer": await self._offer(order["id"], order["fps"])}
            case "answer":
                answer = RTCSessionDescription(order["sdp"], "answer")
                await self._peers[order["id"]].setRemoteDescription(answer)
            case "send":
                for identity, track in self._tracks.items():
                    (track.going.set if identity in order["ids"] else track.going.clear)()
            case "times":
                taken = {identity: list(track.times) for identity, track in self._tracks.items()}
                for track in self._tracks.values():
                    track.times.clear()
                return {"times": taken}
            case "start":
                self._tracks[order["id"]].going.set()
            case "end":
                self._tracks.pop(order["id"], None)
                if (peer := self._peers.pop(order["id"], None)) is not None:
                    await peer.close()
            case "close":
                await asyncio.gather(*(peer.close() for peer in self._peers.values()))
                self._peers.clear()
                self._tracks.clear()
        return {}

    async def _offer(self, identity: int, fps: float) -> str:
        peer = self._peers[identity] = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        track = self._tracks[identity] = ClipTrack(self._clips[fps], fps)
        peer.addTransceiver(track, direction="sendonly")
        await peer.setLocalDescription(await peer.createOffer())
        sdp: str = peer.localDescription.sdp
        return sdp


def use_loopback() -> None:
    """aioice never offers 127.0.0.1, which may be all that there is."""
    own = aioice.ice.get_host_addresses
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: (
        own(use_ipv4, use_ipv6) or ["127.0.0.1"]
    )


async def serve(do: Any) -> None:
    """Carries out the orders on standard input, one after another, until it ends."""
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(await do(json.loads(line))), flush=True)


if __name__ == "__main__":
    logging.getLogger().setLevel(logging.ERROR)
    use_loopback()
    asyncio.run(serve(Senders().do))
