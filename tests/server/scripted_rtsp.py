"""An IP camera that says what a test wants it to, and a JPEG stream to go with it."""

import asyncio
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.server.clients import picture

SDP = """v=0
o=- 1 1 IN IP4 127.0.0.1
s=camera
c=IN IP4 0.0.0.0
t=0 0
a=control:*
m=audio 0 RTP/AVP 0
a=control:sound
m=video 0 RTP/AVP 26
a=control:picture
"""


@dataclass
class Asked:
    """A request."""

    method: str
    uri: str
    headers: dict[str, str]

    def reply(self, status: str = "200 OK", body: str = "", **headers: str) -> bytes:
        lines = [f"RTSP/1.0 {status}", f"CSeq: {self.headers['cseq']}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join([*lines, "", body]).encode()


Script = Callable[[Asked], bytes | None]


class ScriptedCamera:
    """Answers as a well-behaved camera where the script has no answer of its own (b"" is one:
    silence). Shows `fps` pictures a second, none while `frozen`."""

    def __init__(self, script: Script = lambda asked: None, fps: float = 20) -> None:
        self._script = script
        self.fps = fps
        self.frozen = False
        self.clock: Callable[[int], int] = lambda count: int(count * 90_000 / fps)
        self.connections = 0
        self.open = 0
        self.asked: list[Asked] = []
        self.port = 0
        self.host = "127.0.0.1"

    async def __aenter__(self) -> "ScriptedCamera":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        self._serving: set[asyncio.Task[Any]] = set()

    async def stop(self) -> None:
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def url(self, path: str = "/live", login: str = "") -> str:
        return f"rtsp://{login}{self.host}:{self.port}{path}"

    def methods(self) -> list[str]:
        return [asked.method for asked in self.asked]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        self.connections += 1
        self.open += 1
        playing: asyncio.Task[None] | None = None
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                start, *lines = head.decode().splitlines()
                pairs = [line.partition(":") for line in lines if line]
                headers = {name.lower(): value.strip() for name, _, value in pairs}
                asked = Asked(*start.split(" ")[:2], headers)
                self.asked.append(asked)
                said = self._script(asked)
                writer.write(self._usual(asked) if said is None else said)
                if asked.method == "PLAY" and said is None:
                    playing = asyncio.create_task(self._play(writer))
        except (asyncio.IncompleteReadError, asyncio.CancelledError, OSError):
            pass
        finally:
            self.open -= 1
            self._serving.discard(task)
            if playing is not None:
                playing.cancel()
            writer.close()

    def _usual(self, asked: Asked) -> bytes:
        match asked.method:
            case "OPTIONS":
                return asked.reply(Public="DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER")
            case "DESCRIBE":
                return asked.reply(body=SDP, Content_Base=f"{asked.uri}/")
            case "SETUP":
                return asked.reply(
                    Transport="RTP/AVP/TCP;unicast;interleaved=0-1", Session="one;timeout=60"
                )
        return asked.reply(Session="one")

    async def _play(self, writer: asyncio.StreamWriter) -> None:
        count = 0
        while True:
            if not self.frozen:
                payload = jpeg_payload(picture(count * 7 % 199))
                writer.write(interleaved(0, rtp(count, self.clock(count), payload)))
                count += 1
            await asyncio.sleep(1 / self.fps)


def interleaved(channel: int, data: bytes) -> bytes:
    return struct.pack(">cBH", b"$", channel, len(data)) + data


def rtp(
    sequence: int, timestamp: int, payload: bytes, marker: bool = True, kind: int = 26
) -> bytes:
    second = kind | 0x80 * marker
    return (
        struct.pack(">BBHII", 0x80, second, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, 7) + payload
    )


def jpeg_payload(file: bytes) -> bytes:
    """A JPEG file of 4:2:0 as one payload, with tables of its own (RFC 2435)."""
    at, tables, size = 2, b"", (0, 0)
    while file[at + 1] != 0xDA:
        length = int.from_bytes(file[at + 2 : at + 4], "big")
        if file[at + 1] == 0xDB:
            tables += file[at + 5 : at + 69]
        elif file[at + 1] == 0xC0:
            height, width = struct.unpack(">HH", file[at + 5 : at + 9])
            size = (width // 8, height // 8)
        at += 2 + length
    scan = file[at + 2 + int.from_bytes(file[at + 2 : at + 4], "big") :]
    head = struct.pack(">IBBBB", 0, 1, 255, *size) + struct.pack(">BBH", 0, 0, len(tables))
    return head + tables + scan
