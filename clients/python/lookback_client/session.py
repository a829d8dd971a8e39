"""One session: what its camera saw, and the questions about it."""

import asyncio
import base64
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Literal, Self, cast

from lookback_client.answer import Answer
from lookback_client.errors import LookbackError, NotAllowed, SessionLost, left
from lookback_client.gateway import Gateway, in_path
from lookback_client.pictures import Picture, encoded, kind
from lookback_client.publication import Publication
from lookback_client.publishing import Publishable, publication
from lookback_client.questions import Event
from lookback_client.realtime import Realtime
from lookback_client.shapes import CameraState, Memory, Scope, SessionInfo, Token

log = logging.getLogger("lookback_client")

_FIRST_PICTURE_SECONDS: Final = 30.0


class Session:
    """For `async with`; Lookback.session and Lookback.join make it.

    Raises LookbackError on entering where it is refused or not there. With a token that only lets
    publish it is entered all the same, and asking raises NotAllowed.
    """

    def __init__(
        self,
        gateway: Gateway,
        identity: str,
        reconnect_seconds: float,
        wanted: dict[str, Any] | Path | None = None,
        keep: bool = True,
    ) -> None:
        self.id = identity
        """Whoever is to join needs it."""
        self._gateway = gateway
        self._reconnect_seconds = reconnect_seconds
        self._wanted = wanted
        self._keep = keep
        self._realtime: Realtime | None = None
        self._deaf: NotAllowed | None = None
        self._publication: Publication | None = None
        self._starting: dict[Answer, asyncio.Task[None]] = {}

    def __repr__(self) -> str:
        return f"<Session {self.id[:8]}… of {self._gateway.url}>"

    async def __aenter__(self) -> Self:
        if self._wanted is not None:
            await self.reserve()
        realtime = Realtime(self._gateway, self.id, self._reconnect_seconds)
        try:
            await realtime.open()
            self._realtime = realtime
        except NotAllowed as error:
            if error.status == 401:
                raise
            self._deaf = error
        except BaseException:
            if not self._keep:
                await self.delete()
            raise
        return self

    async def reserve(self) -> str:
        """Makes a new session without entering it, for others to join; its id. It is closed where
        nobody does so within a minute. Raises LookbackError."""
        if isinstance(self._wanted, Path):
            self.id = await self._imported(self._wanted)
        else:
            told = await self._gateway.told("POST", "/v1/sessions", self._wanted or {})
            self.id = str(told["id"])
        return self.id

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for answer, task in list(self._starting.items()):
            task.cancel()
            answer._fail(left())
        if self._publication is not None:
            await self._publication.stop()
        if self._realtime is not None:
            await self._realtime.close()
        if not self._keep:
            await self.delete()

    # Questions.

    def ask(
        self,
        question: str,
        *,
        pictures: Sequence[Picture] = (),
        max_tokens: int | Literal["inf"] | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        stop: Sequence[str] = (),
    ) -> Answer:
        """Asks at once; `await` the answer or iterate over it. Several may be asked: they are
        answered in order.

        pictures: arrays or encoded files, seen as frames of this moment. temperature 0 is greedy,
        which is also what None means. stop: texts before which the answer ends. A question that
        comes before the first picture of a camera that is published here waits for it.
        """
        wanted = {
            "max_output_tokens": max_tokens,
            "temperature": temperature,
            "top_p": top_p,
            "seed": seed,
            "stop": list(stop) or None,
        }
        options = {name: value for name, value in wanted.items() if value is not None}
        answer = Answer(question, self._cancel)
        self._starting[answer] = asyncio.create_task(self._begin(answer, pictures, options))
        return answer

    async def _begin(
        self, answer: Answer, pictures: Sequence[Picture], options: dict[str, Any]
    ) -> None:
        try:
            await self._ask(answer, pictures, options)
        except Exception as error:
            answer._fail(error)
        finally:
            self._starting.pop(answer, None)

    async def _ask(
        self, answer: Answer, pictures: Sequence[Picture], options: dict[str, Any]
    ) -> None:
        content: list[dict[str, Any]] = []
        for picture in pictures:
            file = await asyncio.to_thread(encoded, picture)
            url = f"data:{kind(file)};base64,{base64.b64encode(file).decode()}"
            content.append({"type": "input_image", "image_url": url})
        content.append({"type": "input_text", "text": answer.question})
        if not pictures:
            await self._first_picture()
        if not answer.done:
            item = {"type": "message", "role": "user", "content": content}
            self._listening.questions.ask(answer, item, options)

    async def _first_picture(self) -> None:
        """Waits for it where a camera is about to send one. Raises CameraError for our own."""
        seen, camera = self._listening.seen, self._publication
        told = self.camera
        if seen.is_set() or (
            camera is None and (told is None or told["state"] not in ("connecting", "live"))
        ):
            return
        waiting = asyncio.create_task(seen.wait())
        ending = asyncio.create_task(seen.wait() if camera is None else camera.wait())
        try:
            tasks = {waiting, ending}
            await asyncio.wait(
                tasks, timeout=_FIRST_PICTURE_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            if ending.done() and not seen.is_set():
                ending.result()
                # Its last pictures are still on their way.
                await asyncio.wait({waiting}, timeout=1.0)
        finally:
            waiting.cancel()
            ending.cancel()

    def _cancel(self, answer: Answer) -> None:
        if starting := self._starting.pop(answer, None):
            answer._withdraw()
            starting.cancel()
        elif self._realtime is not None:
            self._realtime.questions.cancel(answer)

    # The camera.

    async def publish(
        self, source: Publishable, *, per_second: float | None = None, webrtc: bool = False
    ) -> Publication:
        """Makes this the session's camera, until it ends, is stopped, or another is published.
        Returns when it is open and the gateway takes its pictures.

        source: Camera, File, Rtsp, a video track of aiortc's, or an iterator of RGB arrays
        `[height, width, 3]` (uint8), of encoded files (bytes) or of Frame. A plain iterator is
        asked for a picture whenever one is due, an asynchronous one is read as it comes; in either
        case the newest picture is sent and none waits. per_second: pictures sent; by default as
        many as the gateway samples. webrtc: send a Camera or File as video by WHIP, at its own
        rate. Raises CameraError where the source cannot be opened, and LookbackError.
        """
        made = publication(
            self._gateway, self.id, source, per_second, webrtc, self._reconnect_seconds
        )
        await made.open()
        before, self._publication = self._publication, made
        if before is not None:
            await before.stop()
        await made.begin()
        return made

    # The session itself.

    @property
    def info(self) -> SessionInfo | None:
        """Its model and the size of its memory; None where asking is not allowed."""
        told = cast(dict[str, Any] | None, self._state("session.created", "session"))
        return None if told is None else cast(SessionInfo, told | told["lookback"])

    @property
    def memory(self) -> Memory | None:
        """What the memory holds, as far as it was told."""
        return cast(Memory | None, self._state("lookback.memory.updated", "memory"))

    @property
    def camera(self) -> CameraState | None:
        """The session's camera, whoever publishes it, as far as it was told."""
        return cast(CameraState | None, self._state("lookback.camera.updated", "camera"))

    def events(self) -> AsyncIterator[Event]:
        """All that the gateway tells of this session from now on, as docs/api.md describes it:
        memory, camera, everybody's questions and answers."""
        return self._listening.events()

    async def state(self) -> dict[str, Any]:
        """The session as the gateway describes it now. Raises LookbackError."""
        return await self._gateway.told("GET", f"/v1/sessions/{in_path(self.id)}")

    async def token(
        self, scopes: Sequence[Scope] = ("publish", "ask"), expires_in: float = 3600
    ) -> Token:
        """For a device that is to join without the API key: it may do only this, only here, and
        for so many seconds. Raises LookbackError."""
        wanted = {"scopes": list(scopes), "expires_in": int(expires_in)}
        path = f"/v1/sessions/{in_path(self.id)}/tokens"
        made = await self._gateway.told("POST", path, wanted)
        return Token(made["token"], self.id, tuple(made["scopes"]), made["expires_at"])

    async def export(
        self,
        file: str | Path | BinaryIO,
        option: Literal["exact", "8-bit", "entropy"] = "exact",
    ) -> int:
        """Writes its memory, as it is now, to a file, from which `Lookback.import_session` goes on;
        returns the bytes. A path gets the whole of it or nothing. option: "8-bit" and "entropy" are
        smaller, and answers from them may differ. Needs an API key where the gateway has any.
        Raises LookbackError, and OSError for what cannot be written."""
        if not isinstance(file, str | Path):
            return await self._write(file, option)
        with _whole(Path(file)) as opened:
            return await self._write(opened, option)

    async def _write(self, file: BinaryIO, option: str) -> int:
        size = 0
        path = f"/v1/sessions/{in_path(self.id)}/snapshot?option={option}"
        async with self._gateway.download(path) as pieces:
            async for piece in pieces:
                file.write(piece)
                size += len(piece)
        return size

    async def _imported(self, file: Path) -> str:
        headers = {"Content-Type": "application/octet-stream"}
        path = "/v1/sessions/import"
        made = await self._gateway.request("POST", path, content=file, headers=headers)
        return str(made.json()["id"])

    async def delete(self) -> None:
        """Frees the memory; whoever has joined loses it, too."""
        try:
            await self._gateway.request("DELETE", f"/v1/sessions/{in_path(self.id)}")
        except SessionLost:
            return
        except LookbackError as error:  # without us it ends a little later
            log.info("The session was not deleted: %s", error)

    @property
    def _listening(self) -> Realtime:
        if self._deaf is not None:
            raise self._deaf
        if self._realtime is None:
            raise LookbackError("Enter the session first: async with …")
        if self._realtime.error is not None:
            raise self._realtime.error
        return self._realtime

    def _state(self, kind: str, name: str) -> object:
        event = self._realtime.states.get(kind) if self._realtime is not None else None
        return None if event is None else event[name]


@contextmanager
def _whole(path: Path) -> Iterator[BinaryIO]:
    """A file that is there when all of it is written, and only then."""
    partial = Path(f"{path}.partial")
    try:
        with partial.open("wb") as file:
            yield file
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
