"""Somebody who wants a session, has a camera in it, and asks about it again and again.

Does what a good client does: waits as long as it is told, and keeps its place in the queue. Knows
nothing of the service but what docs/api.md says.
"""

import asyncio
import contextlib
import itertools
import json
import random
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from benchmarks.senders import Senders
from benchmarks.tally import Tally

HUNG_SECONDS: Final = 20.0
"""A request about which nothing is heard for so long has hung."""
QUESTION: Final = "what is it now?"
_WEBRTC_FPS: Final = 5.0
_HEADER: Final = struct.Struct(">d")


@dataclass
class Behaviour:
    """What all clients do. `think`: mean seconds between an answer and the asker's next question;
    `stay`: mean seconds in a session before the client leaves and comes again, None: for good;
    `askers`: of each session, the first by websocket or chat completions, others by the latter."""

    url: str
    pictures: Sequence[bytes]
    think: float
    tokens: int
    askers: int = 1
    stay: float | None = None


@dataclass
class World:
    """What the clients share."""

    behaviour: Behaviour
    senders: Senders
    tally: Tally = field(default_factory=Tally)


class VirtualClient:
    """`webrtc`: its camera sends so, otherwise pictures by websocket; `chat`: it asks by chat
    completions, otherwise by websocket; `naive`: it knows no tickets."""

    def __init__(self, world: World, number: int, *, webrtc: bool, chat: bool, naive: bool) -> None:
        self._world = world
        self._number = number
        self._webrtc = webrtc
        self._chat = chat
        self._naive = naive
        self._random = random.Random(number)
        self._lines = [_line(world.behaviour.url) for _ in range(world.behaviour.askers)]
        self.session: str | None = None

    async def live(self) -> None:
        """Until cancelled."""
        async with contextlib.AsyncExitStack() as stack:
            for line in self._lines:
                await stack.enter_async_context(line)
            while True:
                session = await self._enter()
                try:
                    await self._stay(session)
                finally:
                    self.session = None
                    await asyncio.shield(self._leave(session))

    # -- the door -------------------------------------------------------------------------------

    async def _enter(self) -> str:
        """The session's id, once there is room."""
        ticket: str | None = None
        while True:
            wanted = {} if ticket is None else {"ticket": ticket}
            try:
                async with asyncio.timeout(HUNG_SECONDS):
                    reply = await self._lines[0].post("/v1/sessions", json=wanted)
            except TimeoutError:
                self._world.tally.hung += 1
                continue
            except httpx.TransportError as error:
                await self._failed(error)
                continue
            if reply.status_code == 201:
                self.session = str(reply.json()["id"])
                self._world.tally.entered += 1
                return self.session
            given = self._refused(reply)
            ticket = None if self._naive else given or ticket
            await asyncio.sleep(_retry_after(reply))

    def _refused(self, reply: httpx.Response) -> str | None:
        """The ticket, where there is one."""
        error = reply.json()["error"]
        waits = error.get("lookback") or {}
        has_place = "queue_position" in waits
        retry = "retry-after" in reply.headers
        self._world.tally.refused(error["code"], reply.status_code, retry, has_place)
        return waits.get("ticket")

    async def _leave(self, session: str) -> None:
        try:
            async with asyncio.timeout(HUNG_SECONDS):
                await self._lines[0].delete(f"/v1/sessions/{session}")
        except TimeoutError:
            self._world.tally.hung += 1
        except httpx.HTTPError:
            pass  # it ends by itself, too

    async def _stay(self, session: str) -> None:
        behaviour = self._world.behaviour
        deadline = None
        if behaviour.stay is not None:
            deadline = self._random.uniform(0.5, 1.5) * behaviour.stay
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline):
                await self._take_part(session)

    async def _take_part(self, session: str) -> None:
        behaviour = self._world.behaviour
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._film(session))
                for asker in range(behaviour.askers):
                    chat = self._chat or asker > 0
                    asking = self._ask(session, asker) if chat else self._converse(session)
                    tasks.create_task(asking)
        except* (WebSocketException, OSError, httpx.HTTPError, _Failed) as errors:
            problem: BaseException = errors
            while isinstance(problem, BaseExceptionGroup):
                problem = problem.exceptions[0]
            await self._failed(problem)

    async def _failed(self, error: BaseException) -> None:
        if isinstance(error, TimeoutError):  # a websocket that was not opened
            self._world.tally.hung += 1
        self._world.tally.failed[f"{type(error).__name__}: {error}"[:120]] += 1
        await asyncio.sleep(1.0)

    # -- the camera -----------------------------------------------------------------------------

    async def _film(self, session: str) -> None:
        if self._webrtc:
            await self._film_by_webrtc(session)
            return
        url = f"{self._world.behaviour.url.replace('http', 'ws', 1)}/v1/sessions/{session}/frames"
        pictures = self._world.behaviour.pictures
        async with self._connected(url) as socket, asyncio.TaskGroup() as tasks:
            tasks.create_task(_read_all(socket))
            await asyncio.sleep(self._random.random())
            for count in itertools.count(7 * self._number):
                await socket.send(_HEADER.pack(time.time()) + pictures[count % len(pictures)])
                await asyncio.sleep(1.0)

    async def _film_by_webrtc(self, session: str) -> None:
        senders, number = self._world.senders, self._number
        offer = (await senders.do({"do": "connect", "id": number, "fps": _WEBRTC_FPS}))["offer"]
        try:
            reply = await self._lines[0].post(
                f"/v1/sessions/{session}/offer", json={"type": "offer", "sdp": offer}
            )
            if reply.is_error:
                self._refused(reply)
                raise _Failed("a camera was refused")
            await senders.do({"do": "answer", "id": number, "sdp": reply.json()["sdp"]})
            await senders.do({"do": "start", "id": number})
            await asyncio.Event().wait()
        finally:
            await senders.do({"do": "end", "id": number})

    def _connected(self, url: str) -> connect:
        return connect(url, open_timeout=HUNG_SECONDS, close_timeout=2.0, compression=None)

    # -- questions ------------------------------------------------------------------------------

    def _thinking(self) -> float:
        return self._random.expovariate(1 / self._world.behaviour.think)

    async def _converse(self, session: str) -> None:
        """Asks by websocket, and hears how old the frames are that reach memory."""
        url = f"{self._world.behaviour.url.replace('http', 'ws', 1)}/v1/realtime?session={session}"
        async with self._connected(url) as socket:
            answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._hear(socket, answers))
                wait = self._thinking()
                while True:
                    await asyncio.sleep(wait)
                    wait = await self._question(socket, answers)

    async def _hear(self, socket: ClientConnection, answers: asyncio.Queue[dict[str, Any]]) -> None:
        newest = -1.0
        async for text in socket:
            event = json.loads(text)
            if event["type"] == "lookback.memory.updated":
                span, age = event["memory"]["span"], event["memory"]["newest_frame_age"]
                if span is not None and span[1] > newest:
                    newest = span[1]
                    self._world.tally.note(self._world.tally.frame_ages, age)
            elif event["type"] in _OF_ANSWERS:
                answers.put_nowait(event)
            elif event["type"] == "lookback.session.closed":
                raise _Failed(f"the session was closed: {event['reason']}")
        raise _Failed("the websocket was closed")

    async def _question(
        self, socket: ClientConnection, answers: asyncio.Queue[dict[str, Any]]
    ) -> float:
        """One question and its answer; how long to wait then."""
        mark = f"{self._random.getrandbits(48):012x}"
        content = [{"type": "input_text", "text": QUESTION}]
        item = {"type": "message", "role": "user", "content": content}
        response = {
            "max_output_tokens": self._world.behaviour.tokens,
            "temperature": 0,
            "metadata": {"mark": mark},
        }
        began, first, mine = time.monotonic(), None, None
        await socket.send(json.dumps({"type": "conversation.item.create", "item": item}))
        await socket.send(
            json.dumps({"type": "response.create", "response": response, "event_id": mark})
        )
        while True:
            try:
                async with asyncio.timeout(HUNG_SECONDS):
                    event = await answers.get()
            except TimeoutError:
                self._world.tally.hung += 1
                return self._thinking()
            kind = event["type"]
            if kind == "error" and event["error"]["event_id"] in (mark, None):
                return self._told_no(event["error"], None)
            if kind == "response.created" and event["response"]["metadata"] == {"mark": mark}:
                mine = event["response"]["id"]
            elif kind == "response.output_text.delta" and event["response_id"] == mine:
                first = first or time.monotonic() - began
            elif kind == "response.done" and event["response"]["id"] == mine:
                self._answered(event["response"]["status"], first)
                return self._thinking()

    def _answered(self, status: str, first: float | None) -> None:
        tally = self._world.tally
        if status not in ("completed", "incomplete"):
            tally.failed[f"an answer was {status}"] += 1
            return
        tally.answers += 1
        if first is not None:
            tally.note(tally.first_tokens, first)

    def _told_no(self, error: dict[str, Any], reply: httpx.Response | None) -> float:
        """How long to wait."""
        if error["code"] == "no_frames_yet":
            return 0.25
        self._world.tally.questions_refused += 1
        waits = error.get("lookback") or {}
        status = 0 if reply is None else reply.status_code
        told = waits.get("retry_after_seconds")  # a websocket has no headers
        retry = told is not None or (reply is not None and "retry-after" in reply.headers)
        self._world.tally.refused(error["code"], status, retry, "queue_position" in waits)
        if reply is None:
            return self._thinking() if told is None else told * random.uniform(1.0, 1.25)
        return _retry_after(reply)

    async def _ask(self, session: str, asker: int) -> None:
        """Asks by chat completions."""
        wait = self._thinking()
        while True:
            await asyncio.sleep(wait)
            wait = await self._completion(session, self._lines[asker])

    async def _completion(self, session: str, line: httpx.AsyncClient) -> float:
        body = {
            "model": session,
            "messages": [{"role": "user", "content": QUESTION}],
            "max_tokens": self._world.behaviour.tokens,
            "stream": True,
        }
        began, first, finished = time.monotonic(), None, None
        try:
            async with (
                asyncio.timeout(3 * HUNG_SECONDS),
                line.stream("POST", "/v1/chat/completions", json=body) as reply,
            ):
                if reply.is_error:
                    await reply.aread()
                    return self._told_no(reply.json()["error"], reply)
                async for text in reply.aiter_lines():
                    if not text.startswith("data: {"):
                        continue
                    chunk = json.loads(text[6:])
                    if "error" in chunk:
                        return self._told_no(chunk["error"], None)
                    [choice] = chunk["choices"]
                    if choice["delta"].get("content"):
                        first = first or time.monotonic() - began
                    finished = choice["finish_reason"] or finished
        except TimeoutError:
            self._world.tally.hung += 1
            return self._thinking()
        self._answered("completed" if finished in ("stop", "length") else str(finished), first)
        return self._thinking()


class _Failed(Exception):
    """What ends a client's stay before its time."""


def _line(url: str) -> httpx.AsyncClient:
    """Connections of one asker alone, as they would be. In a pool that hundreds share each
    request looks at every connection, and then it is the crowd that is measured."""
    # No certificates and no proxies are looked for: it is http to this machine.
    return httpx.AsyncClient(base_url=url, timeout=None, verify=False, trust_env=False)


_OF_ANSWERS: Final = {"error", "response.created", "response.output_text.delta", "response.done"}


async def _read_all(socket: ClientConnection) -> None:
    async for _ in socket:
        pass  # its pings are answered only where it is read
    raise _Failed(f"a camera was closed: {socket.close_code} {socket.close_reason}")


def _retry_after(reply: httpx.Response) -> float:
    """Seconds, with a little more for each, as clients that came together should."""
    return float(reply.headers.get("retry-after", 1.0)) * random.uniform(1.0, 1.25)
