"""What can be a camera, and how its pictures are read. Reading blocks: it is a thread's work."""

import itertools
import sys
import time
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from lookback_client.errors import CameraError
from lookback_client.pictures import Picture, missing

if TYPE_CHECKING:
    import av

_DEVICES: Final = {
    "linux": ("v4l2", "/dev/video{}"),
    "darwin": ("avfoundation", "{}"),
    "win32": ("dshow", "{}"),
}


@dataclass(frozen=True)
class Frame:
    """A picture with its time, in seconds; later than the one before."""

    picture: Picture
    time: float


@dataclass(frozen=True)
class Camera:
    """A camera of this machine. device: its number, or its name as FFmpeg knows it. size:
    (width, height) and fps that it is asked for, where it knows several. format: FFmpeg's, where
    it is not the system's usual one."""

    device: int | str = 0
    size: tuple[int, int] | None = None
    fps: float | None = None
    format: str | None = None

    def open(self) -> Iterator[Frame]:
        """Its pictures as they come, by the monotonic clock. Raises CameraError."""
        usual, name = _DEVICES.get(sys.platform, _DEVICES["linux"])
        device = name.format(self.device) if isinstance(self.device, int) else self.device
        options = {}
        if self.size is not None:
            options["video_size"] = f"{self.size[0]}x{self.size[1]}"
        if self.fps is not None:
            options["framerate"] = f"{self.fps:g}"
        container = _opened(device, self.format or usual, options)
        return (
            Frame(picture, time.monotonic()) for picture in _pictures(container, f"camera {device}")
        )


@dataclass(frozen=True)
class File:
    """A video file, played at its own pace; loop: again and again."""

    path: str | Path
    loop: bool = False

    def open(self) -> Iterator[Frame]:
        """Its pictures with the times of the file, which go on where it begins again. Raises
        CameraError."""
        if not Path(self.path).is_file():
            raise CameraError(f"There is no file {self.path}.", code="no_file")
        return self._frames(_opened(str(self.path)))

    def _frames(self, container: "av.container.InputContainer") -> Iterator[Frame]:
        offset, newest, period = 0.0, 0.0, 0.04
        while True:
            first = None
            for picture in _pictures(container, str(self.path)):
                at: float = picture.time or 0.0
                first = at if first is None else first
                at += offset - first
                if at > newest:
                    period = at - newest
                newest = at
                yield Frame(picture, at)
            if first is None:
                raise CameraError(f"{self.path} has no picture that can be read.", code="no_video")
            if not self.loop:
                return
            offset = newest + period
            container = _opened(str(self.path))


@dataclass(frozen=True)
class Rtsp:
    """A camera on the network, which the gateway itself connects to. The address may hold a name
    and a password, and is not shown."""

    url: str = field(repr=False)


@dataclass(frozen=True)
class Pulled:
    """A plain iterator; a generator is closed at the end."""

    pictures: Iterable[Picture | Frame]

    def open(self) -> Iterator[Frame]:
        """Its pictures, each with the time when it was got, unless it has its own."""
        pictures = iter(self.pictures)
        try:
            for picture in pictures:
                yield framed(picture)
        finally:
            if isinstance(pictures, Generator):
                pictures.close()


class Source(Protocol):
    """What a thread reads."""

    def open(self) -> Iterator[Frame]:
        """Raises CameraError."""


def framed(picture: Any) -> Frame:
    """With the present time, on the monotonic clock, unless it has one."""
    return picture if isinstance(picture, Frame) else Frame(picture, time.monotonic())


def _opened(
    name: str, kind: str | None = None, options: dict[str, str] | None = None
) -> "av.container.InputContainer":
    try:
        import av
    except ImportError as error:
        raise missing(error) from error
    try:
        container = av.open(name, format=kind, options=options or {})
    except (OSError, ValueError) as error:
        raise CameraError(f"{name} cannot be opened: {error}.", code="not_opened") from error
    if not container.streams.video:
        container.close()
        raise CameraError(f"{name} has no video.", code="no_video")
    return container


def _pictures(container: "av.container.InputContainer", name: str) -> Iterator[Any]:
    """av.VideoFrame. Closes the container."""
    import av

    with container:
        packets = container.demux(container.streams.video[0])
        for _ in itertools.count():
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                yield from packet.decode()
            except av.error.BlockingIOError:  # a device has nothing yet
                time.sleep(0.005)
            except (OSError, ValueError) as error:
                message = f"The pictures of {name} broke off: {error}."
                raise CameraError(message, code="broken") from error
