"""Pictures that come with questions: each becomes a frame of the present moment."""

from typing import Any, Final

from messages.keys import RING
from server.errors import ClientError
from server.feed import FrameFeed
from server.rate import Rate
from server.settings import GatewaySettings
from server.stills import still_of_url

_BURST: Final = 2 * RING


class Pictures:
    """One session's."""

    def __init__(self, feed: FrameFeed, settings: GatewaySettings) -> None:
        self._feed = feed
        self._settings = settings
        self._rate = Rate(settings.shown_per_second, _BURST)
        self.frames = 0
        """Memory has the latest picture when it has told of so many frames, seen or dropped."""

    async def show(self, urls: list[str]) -> list[dict[str, Any]]:
        """Hands the pictures of these `data:` URLs on, in order, and returns what is told of them.
        Raises ClientError, before any is handed on, where one cannot be used or they are too
        many; and ServiceError where the broker does not take them."""
        # The broker's ring would lose the first of more.
        if len(urls) > RING:
            raise ClientError(
                "too_many_pictures",
                f"A question has at most {RING} pictures, not {len(urls)}: ask in several.",
            )
        stills = [still_of_url(url, self._settings) for url in urls]
        if not self._rate.allows(len(stills)):
            raise ClientError(
                "too_many_pictures",
                f"{self._settings.shown_per_second:g} pictures a second come with questions: send "
                "a stream of them by WebRTC, or to the session's frames websocket.",
                status=429,
                retry_after=1 / self._settings.shown_per_second,
            )
        told = []
        for still in stills:
            shown = await self._feed.show(still)
            self.frames = shown.frames
            size = {"width": still.width, "height": still.height}
            told.append({"type": "input_image", "lookback": {"time": shown.time, **size}})
        return told
