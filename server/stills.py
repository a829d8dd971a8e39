"""One encoded picture from a client: JPEG, PNG or WebP, judged by its header before it is decoded.

Knows nothing about how it came.
"""

import base64
import binascii
import io
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from server.errors import ClientError
from server.settings import GatewaySettings

FORMATS: Final = ("JPEG", "PNG", "WEBP")
SMALLEST_SIDE: Final = 16
_WEBP_HEADER_BYTES: Final = 30
# A scan of 35 bytes is work for all of a picture's pixels; encoders write about ten.
_MOST_SCANS: Final = 64

# The number of pixels is judged here, by the settings, and before Pillow warns of it.
Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True)
class Still:
    """The encoded picture and what its header says: width and height in pixels."""

    data: bytes
    width: int
    height: int

    def pixels(self, most: int) -> NDArray[np.uint8]:
        """BGR [rows, columns, 3], turned as its EXIF data says. One with far more than `most`
        pixels comes smaller, by a whole factor, and takes little room on the way.

        Raises ValueError for data that is damaged or cut off.
        """
        try:
            with Image.open(io.BytesIO(self.data), formats=FORMATS) as image:
                scale = (most / (self.width * self.height)) ** 0.5
                if scale < 1:
                    image.draft("RGB", (int(self.width * scale), int(self.height * scale)))
                small = _eight_bits(image)
                factor = int((small.width * small.height / most) ** 0.5)
                if factor > 1:
                    small = small.reduce(factor)
                small.info.setdefault("exif", image.info.get("exif", b""))
                upright = ImageOps.exif_transpose(small).convert("RGB")
                return np.asarray(upright)[:, :, ::-1].copy()
        except Exception as error:
            # Pillow's decoders let out whatever goes wrong inside: OSError, SyntaxError,
            # ValueError, IndexError, struct.error. All of them mean that the picture is damaged.
            raise ValueError(f"The picture is damaged ({error}).") from error


def still(data: bytes, settings: GatewaySettings) -> Still:
    """The picture, not yet decoded. Raises ClientError for one that is too large in bytes, in
    pixels or in scans, too small to show anything, or of another format."""
    if len(data) > settings.picture_bytes:
        raise _too_many_bytes(settings.picture_bytes)
    try:
        width, height = _webp_size(data) if data[8:12] == b"WEBP" else _size(data)
    except Exception as error:  # as above
        raise ClientError(
            "invalid_picture",
            "The picture cannot be read: send a whole JPEG, PNG or WebP file.",
            status=415,
        ) from error
    if width * height > settings.picture_pixels:
        raise ClientError(
            "picture_too_large",
            f"The picture has {width}×{height} pixels; send at most {settings.picture_pixels}.",
            status=413,
        )
    scans = data.count(b"\xff\xda") if data[:2] == b"\xff\xd8" else 1
    if scans > _MOST_SCANS:
        raise ClientError(
            "picture_too_large",
            f"The JPEG comes in {scans} scans; send at most {_MOST_SCANS}.",
            status=413,
        )
    if min(width, height) < SMALLEST_SIDE:
        raise ClientError(
            "picture_too_small",
            f"A picture of {width}×{height} pixels shows nothing: send at least {SMALLEST_SIDE} "
            "pixels a side.",
        )
    return Still(data, width, height)


def still_of_url(url: str, settings: GatewaySettings) -> Still:
    """The picture in a `data:image/…;base64,…` URL. Raises ClientError as `still` does, and for
    any other URL: nothing is fetched from here."""
    head, comma, text = url.partition(",")
    if not head.startswith("data:image/") or not head.endswith(";base64") or not comma:
        raise ClientError(
            "unsupported_picture_url",
            "Pictures are not fetched from anywhere: send the picture itself as a URL of the form "
            "data:image/jpeg;base64,….",
        )
    if len(text) * 3 // 4 > settings.picture_bytes + 2:
        raise _too_many_bytes(settings.picture_bytes)
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ClientError("invalid_picture", f"The data URL is no base64 ({error}).") from error
    return still(data, settings)


def _eight_bits(image: Image.Image) -> Image.Image:
    """In a mode that can be made smaller. Depth cameras write 16 bits, of which Pillow would cut
    off the upper ones."""
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image.convert("RGB") if image.mode in ("1", "P") else image


def _too_many_bytes(limit: int) -> ClientError:
    return ClientError("picture_too_large", f"A picture has at most {limit} bytes.", status=413)


def _size(data: bytes) -> tuple[int, int]:
    """Width and height of a JPEG or PNG; Pillow reads no more than the header here."""
    with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
        return image.size


def _webp_size(data: bytes) -> tuple[int, int]:
    """Width and height by the container's specification (RFC 9649): opening a WebP by Pillow
    makes room for all its pixels."""
    if len(data) < _WEBP_HEADER_BYTES or data[:4] != b"RIFF":
        raise ValueError("The WebP header is cut off.")

    def number(at: int, count: int) -> int:
        return int.from_bytes(data[at : at + count], "little")

    match data[12:16]:
        case b"VP8X":
            return number(24, 3) + 1, number(27, 3) + 1
        case b"VP8L":
            return (number(21, 4) & 0x3FFF) + 1, (number(21, 4) >> 14 & 0x3FFF) + 1
        case b"VP8 ":
            return number(26, 2) & 0x3FFF, number(28, 2) & 0x3FFF
    raise ValueError("This is no WebP.")
