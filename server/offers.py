"""A session's cameras by WebRTC: a page's, and senders by WHIP, which may come back."""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from server.camera import Camera
from server.cameras import Cameras, Publisher
from server.errors import unknown_camera
from server.feed import FrameFeed
from server.settings import GatewaySettings

T = TypeVar("T")


class Publish(Protocol):
    """As Session.publish."""

    async def __call__(self, publisher: Publisher, begin: Callable[[], Awaitable[T]]) -> T: ...


class Offers:
    """Of one session. publish: makes a camera the session's."""

    def __init__(
        self, feed: FrameFeed, settings: GatewaySettings, cameras: Cameras, publish: Publish
    ) -> None:
        self._feed = feed
        self._settings = settings
        self._cameras = cameras
        self._publish = publish
        self._sender: Camera | None = None  # by WHIP, until it says goodbye

    @property
    def heard_at(self) -> float | None:
        """When the sender by WHIP was heard last (monotonic seconds), where there is one."""
        return self._sender.heard_at if self._sender else None

    async def answer(self, sdp: str, *, returning: bool = False) -> tuple[Camera, str]:
        """Answers a camera's offer; the new camera replaces the one before. returning: it says
        goodbye, and where it has not, it may come back. Raises ClientError."""
        camera = Camera(self._feed, self._settings, lambda: self._cameras.changed(camera))
        camera.kind = "whip" if returning else "webrtc"
        answer = await self._publish(camera, lambda: camera.answer(sdp))
        self._sender = camera if returning else None
        return camera, answer

    def sender(self, identity: str) -> Camera:
        """The WHIP camera with this id. Raises ClientError (404) where it is not here."""
        sender = self._cameras.named(identity, Camera)
        if sender is not self._sender:
            raise unknown_camera()
        return sender

    async def dismiss(self, identity: str) -> None:
        """A WHIP camera says goodbye. Raises ClientError (404)."""
        sender = self.sender(identity)
        self._sender = None
        await sender.close("its sender ended it")
