"""What the gateway is measured against: aiortc as it comes, which decodes each frame and lets go.

`python -m benchmarks.bare_receiver` takes a JSON object a line and answers each with one: `offer`
(`sdp`) with an `answer`; `close` ends all connections. It runs on the gateway's kind of event loop.
"""

import asyncio
import logging
from typing import Any

import uvloop
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from benchmarks.senders import serve, use_loopback


class Receiver:
    """All connections of the process."""

    def __init__(self) -> None:
        self._peers: list[RTCPeerConnection] = []
        self._draining: set[asyncio.Task[None]] = set()

    async def do(self, order: dict[str, Any]) -> dict[str, Any]:
        """Carries out one order."""
        match order["do"]:
            case "offer":
                return {"answer": await self._answer(order["sdp"])}
            case "close":
                await asyncio.gather(*(peer.close() for peer in self._peers))
                self._peers.clear()
        return {}

    async def _answer(self, sdp: str) -> str:
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._peers.append(peer)

        def drain(track: MediaStreamTrack) -> None:
            task = asyncio.create_task(_drain(track))
            self._draining.add(task)
            task.add_done_callback(self._draining.discard)

        peer.on("track", drain)
        await peer.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
        await peer.setLocalDescription(await peer.createAnswer())
        answer: str = peer.localDescription.sdp
        return answer


async def _drain(track: MediaStreamTrack) -> None:
    try:
        while True:
            await track.recv()
    except MediaStreamError:
        return


if __name__ == "__main__":
    logging.getLogger().setLevel(logging.ERROR)
    use_loopback()
    uvloop.run(serve(Receiver().do))
