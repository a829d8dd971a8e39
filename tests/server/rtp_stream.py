"""Real RTP streams, by libavformat's own packetizer, and the pictures that they hold."""

import io
import random
import socket
import struct
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import count, pairwise
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from server.rtp_packet import is_rtcp, parse

FPS = 15
CLOCK = 90_000
_ENCODERS: dict[str, tuple[str, dict[str, str]]] = {
    "H264": ("libx264", {"preset": "ultrafast", "tune": "zerolatency", "sc_threshold": "0"}),
    "VP8": ("libvpx", {"deadline": "realtime", "cpu-used": "8", "auto-alt-ref": "0"}),
}


@dataclass(frozen=True)
class Stream:
    """packets: datagrams of RTP; reports: of RTCP; pictures: luma [rows, columns] by RTP timestamp,
    as a decoder that got everything shows them."""

    packets: tuple[bytes, ...]
    reports: tuple[bytes, ...]
    pictures: dict[int, NDArray[np.uint8]]

    def frames(self) -> list[list[bytes]]:
        """The packets of each frame."""
        found: dict[int, list[bytes]] = {}
        for packet in self.packets:
            found.setdefault(parse(packet).timestamp, []).append(packet)
        return [*found.values()]


class _Datagrams(io.RawIOBase):
    """Each write is one."""

    def __init__(self) -> None:
        self.all: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.all.append(bytes(data))
        return len(data)


def picture(number: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """RGB, another one for each number, with edges that move: what is missing is seen."""
    columns, rows = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    wave = (columns * 3 + rows * 2 + number * 23) % 256
    box = ((columns - number * 5) % size[0] < 24) & ((rows - number * 3) % size[1] < 24)
    grey = np.where(box, 255 - wave, wave).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


@cache
def stream(
    codec: str,
    length: int = 60,
    gop: int = 15,
    size: tuple[int, int] = (160, 120),
    *,
    ssrc: int = 7,
    sequence: int = 100,
    packet_bytes: int = 400,
    headers: bool = True,
    extra: tuple[tuple[str, str], ...] = (),
) -> Stream:
    """headers: H.264 keyframes bring SPS and PPS. extra: options of the encoder."""
    name, options = _ENCODERS[codec]
    datagrams = _Datagrams()
    muxing = {
        "payload_type": "96",
        "ssrc": str(ssrc),
        "seq": str(sequence),
        "packetsize": str(packet_bytes),
        "rtpflags": "+send_bye",
    }
    clean: list[Any] = []
    with av.open(datagrams, "w", format="rtp", options=muxing, buffer_size=packet_bytes) as output:
        video = output.add_stream(name, rate=FPS, options={**options, "g": str(gop), **dict(extra)})
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        video.codec_context.thread_count = 1
        video.codec_context.bit_rate = 400_000
        if not headers:
            video.codec_context.flags |= 1 << 22  # AV_CODEC_FLAG_GLOBAL_HEADER
        for number in range(length):
            frame = av.VideoFrame.from_ndarray(picture(number, size), "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            for packet in video.encode(frame):
                clean.append((packet.pts * packet.time_base, bytes(packet)))
                output.mux(packet)
        for packet in video.encode():
            clean.append((packet.pts * packet.time_base, bytes(packet)))
            output.mux(packet)
        sets = video.codec_context.extradata
    packets = tuple(d for d in datagrams.all if not is_rtcp(d))
    reports = tuple(d for d in datagrams.all if is_rtcp(d))
    decoder: Any = av.CodecContext.create({"H264": "h264", "VP8": "vp8"}[codec], "r")
    decoder.thread_count = 1
    if not headers:
        decoder.extradata = sets
    first = parse(packets[0]).timestamp
    pictures = {}
    for at, data in [*clean, (None, b"")]:
        packet = av.Packet(data) if data else None
        if packet is not None:
            packet.pts, packet.time_base = round((at - clean[0][0]) * CLOCK), Fraction(1, CLOCK)
        for shown in decoder.decode(packet):
            pictures[(first + shown.pts) & 0xFFFFFFFF] = luma(shown)
    return Stream(packets, reports, pictures)


def luma(frame: av.VideoFrame) -> NDArray[np.uint8]:
    """[rows, columns]."""
    return frame.to_ndarray(format="yuv420p")[: frame.height].copy()


def shaken(packets: tuple[bytes, ...], seed: int, loss: float = 0.05) -> list[bytes]:
    """A bad way: so many are lost, and some overtake others."""
    chance = random.Random(seed)
    kept = [packet for packet in packets if chance.random() >= loss]
    order = sorted(
        range(len(kept)), key=lambda n: n + (chance.random() < 0.2) * chance.uniform(0, 8)
    )
    assert any(a > b for a, b in pairwise(order))
    return [kept[n] for n in order]


def moved(
    packet: bytes, *, sequence: int, timestamp: int, ssrc: int | None = None, payload_type: int = 96
) -> bytes:
    """The same packet, so much later, and of another source."""
    _, second, number, time, source = struct.unpack_from(">BBHII", packet)
    header = struct.pack(
        ">BBHII",
        packet[0],
        second & 0x80 | payload_type,
        number + sequence & 0xFFFF,
        time + timestamp & 0xFFFFFFFF,
        source if ssrc is None else ssrc,
    )
    return header + packet[12:]


def endless(
    codec: str, *, ssrc: int = 7, payload_type: int = 96, begin: int = 0, **options: Any
) -> Iterator[list[bytes]]:
    """The packets of one frame after another, again and again; begin: at which frame."""
    sent = stream(codec, **options)
    frames = sent.frames()
    for turn in count():
        for packets in frames[begin if turn == 0 else 0 :]:
            yield [
                moved(
                    packet,
                    sequence=turn * len(sent.packets),
                    timestamp=turn * len(frames) * CLOCK // FPS,
                    ssrc=ssrc,
                    payload_type=payload_type,
                )
                for packet in packets
            ]


class Sender:
    """Sends frames from a socket of its own, in a thread of its own, until it is closed."""

    def __init__(
        self,
        port: int,
        frames: Iterable[list[bytes]],
        *,
        speed: float = 4.0,
        source: str = "127.0.0.1",
    ) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((source, 0))
        self._to = ("127.0.0.1", port)
        self._frames = frames
        self._pause = 1 / FPS / speed
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Sender":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._socket.close()

    def send(self, *datagrams: bytes) -> None:
        """Besides its frames."""
        for datagram in datagrams:
            self._socket.sendto(datagram, self._to)

    def _run(self) -> None:
        for packets in self._frames:
            if self._ended.wait(self._pause):
                return
            self.send(*packets)
