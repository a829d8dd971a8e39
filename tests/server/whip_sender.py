"""aiortc as a WHIP client, and offers put together by hand."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack
from aiortc.rtcrtpreceiver import RTCRtpReceiver

SDP = {"Content-Type": "application/sdp"}
TRICKLE = {"Content-Type": "application/trickle-ice-sdpfrag"}
HEAD = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
MEDIA = (
    "c=IN IP4 0.0.0.0\r\na=mid:{mid}\r\na=sendonly\r\na=rtcp-mux\r\na=ice-ufrag:abcd\r\n"
    "a=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=setup:actpass\r\na=fingerprint:sha-256 "
    + ":".join(["AB"] * 32) + "\r\n"
)  # fmt: skip
VIDEO = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n" + MEDIA.format(mid=0)
VP8 = "a=rtpmap:96 VP8/90000\r\n"
AUDIO = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n" + MEDIA.format(mid=1)
OPUS = "a=rtpmap:111 opus/48000/2\r\n"
GOOD = HEAD + VIDEO + VP8


def h264(profile: str) -> str:
    return (
        f"a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1;profile-level-id={profile}\r\n"
    )


def frames_of(worker: Any, session: str) -> list[Any]:
    return [frame for frame in list(worker.frames) if frame.session == session]


def post(url: str, session: str, sdp: str | bytes = GOOD, **headers: str) -> httpx.Response:
    return httpx.post(f"{url}/whip/{session}", content=sdp, headers=SDP | headers)


class Sender:
    """aiortc as a WHIP client."""

    def __init__(self, url: str, peer: RTCPeerConnection, reply: httpx.Response) -> None:
        self.peer = peer
        self.reply = reply
        self.resource = url + reply.headers["location"]

    async def request(self, method: str, **options: Any) -> httpx.Response:
        return await asyncio.to_thread(httpx.request, method, self.resource, **options)


@asynccontextmanager
async def publishing(
    url: str,
    session: str,
    track: Any,
    *,
    audio: bool = True,
    codec: str | None = None,
    shape: Callable[[str], str] = lambda sdp: sdp,
    **headers: str,
) -> AsyncIterator[Sender]:
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    try:
        if audio:
            peer.addTransceiver(AudioStreamTrack(), direction="sendonly")
        video = peer.addTransceiver(track, direction="sendonly")
        if codec is not None:
            known = RTCRtpReceiver.getCapabilities("video").codecs
            video.setCodecPreferences([c for c in known if codec in f"{c.mimeType} {c.parameters}"])
        await peer.setLocalDescription(await peer.createOffer())
        offer = shape(peer.localDescription.sdp)
        reply = await asyncio.to_thread(lambda: post(url, session, offer, **headers))
        assert reply.status_code == 201, reply.text
        await peer.setRemoteDescription(RTCSessionDescription(reply.text, "answer"))
        yield Sender(url, peer, reply)
    finally:
        await peer.close()
