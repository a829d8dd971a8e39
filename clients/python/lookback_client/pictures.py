"""Pictures as files: what the gateway takes."""

import io
from typing import TYPE_CHECKING, Any, Final

from lookback_client.errors import CameraError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Picture = NDArray[np.uint8] | bytes
else:
    Picture = object

LONGEST_SIDE: Final = 1280
QUALITY: Final = 90
_KINDS: Final = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG": "image/png", b"RIFF": "image/webp"}


def encoded(picture: Picture) -> bytes:
    """A JPEG of the RGB array `[height, width, 3]` (uint8), or of the av.VideoFrame, of at most
    1,280 pixels a side; bytes are a file already, and are left as they are. Raises CameraError."""
    if isinstance(picture, bytes | bytearray | memoryview):
        return bytes(picture)
    try:
        import numpy as np
        from PIL import Image
    except ImportError as error:
        raise missing(error) from error
    pixels = np.asarray(_upright(picture) if hasattr(picture, "to_ndarray") else picture)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise CameraError(
            "A picture is an RGB array [height, width, 3] of uint8, or the bytes of a JPEG, PNG or "
            f"WebP file, not {pixels.dtype} {list(pixels.shape)}.",
            code="invalid_picture",
        )
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def _upright(frame: Any) -> Any:
    """Phones write how a picture is to be turned beside it. [height, width, 3]."""
    import numpy as np

    pixels = frame.to_ndarray(format="rgb24")
    return np.rot90(pixels, round(frame.rotation / 90) % 4)


def kind(file: bytes) -> str:
    """The media type by the file's first bytes. Raises CameraError."""
    for start, name in _KINDS.items():
        if file.startswith(start):
            return name
    raise CameraError("A picture's bytes are a JPEG, PNG or WebP file.", code="invalid_picture")


def missing(error: ImportError) -> CameraError:
    """What to install."""
    extra = "webrtc" if error.name in ("aiortc", "aioice") else "video"
    return CameraError(
        f"{error.name} is not installed: pip install 'lookback-client[{extra}]'.",
        code="not_installed",
    )
