"""Pictures are judged by their headers, decoded upright, and refused in words."""

import base64
import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from server.errors import ClientError
from server.settings import GatewaySettings
from server.stills import still, still_of_url

LIMITS = GatewaySettings(picture_bytes=100_000, picture_pixels=500_000)


def _file(kind: str, size: tuple[int, int] = (64, 48), mode: str = "RGB", **options: Any) -> bytes:
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[:, : size[0] // 2] = (250, 10, 10)
    image = Image.fromarray(pixels).convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("kind", "mode", "options"),
    [
        ("JPEG", "RGB", {}),
        ("JPEG", "L", {}),
        ("JPEG", "CMYK", {}),
        ("JPEG", "RGB", {"progressive": True}),
        ("PNG", "RGB", {}),
        ("PNG", "RGBA", {}),
        ("PNG", "P", {}),
        ("PNG", "L", {}),
        ("WEBP", "RGB", {}),
        ("WEBP", "RGBA", {}),
        ("WEBP", "RGB", {"lossless": True}),
        ("WEBP", "RGB", {"exif": b"Exif\x00\x00II*\x00\x08" + bytes(10)}),
    ],
)
def test_every_kind_of_file_is_read(kind: str, mode: str, options: dict[str, Any]) -> None:
    made = still(_file(kind, (101, 67), mode, **options), LIMITS)
    assert (made.width, made.height) == (101, 67)
    pixels = made.pixels(10**6)
    assert pixels.shape == (67, 101, 3)
    left, right = pixels[:, :40].mean((0, 1)), pixels[:, 60:].mean((0, 1))
    if mode != "L":
        assert left[2] > 200 and left[0] < 60, "red stands last in BGR"
    assert left.sum() > right.sum() + 50 and right.max() < 60


def test_a_large_jpeg_is_decoded_smaller_and_a_small_one_as_it_is() -> None:
    made = still(_file("JPEG", (800, 600)), LIMITS)
    assert made.pixels(96 * 96).shape == (150, 200, 3)
    assert made.pixels(800 * 600).shape == (600, 800, 3)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L"])
def test_other_large_files_are_made_smaller_too(kind: str, mode: str) -> None:
    mode = "RGB" if kind == "WEBP" else mode
    pixels = still(_file(kind, (800, 600), mode), LIMITS).pixels(200 * 150)
    assert pixels.shape == (150, 200, 3)
    assert pixels[:, :90].mean() > pixels[:, 110:].mean() + 50


def test_sixteen_bits_keep_their_upper_ones() -> None:
    depth = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    buffer = io.BytesIO()
    Image.fromarray(depth).save(buffer, "PNG")
    for most, rows in ((10**6, 64), (16 * 16, 16)):
        grey = still(buffer.getvalue(), LIMITS).pixels(most)[:, :, 1].astype(int)
        assert len(grey) == rows
        assert abs(grey.mean() - 127.5) < 1 and (np.diff(grey.mean(1)) > 0).all()


@pytest.mark.parametrize(("kind", "most"), [("JPEG", 10**6), ("PNG", 10**6), ("PNG", 32 * 24)])
def test_a_picture_is_turned_as_its_camera_was(kind: str, most: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    pixels = still(_file(kind, exif=exif), LIMITS).pixels(most)
    rows, columns = pixels.shape[:2]
    assert (rows, columns) == ((64, 48) if most == 10**6 else (32, 24))
    assert pixels[: rows // 3, :, 2].min() > 200 and pixels[-rows // 3 :].max() < 60


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"", 415, "invalid_picture"),
        (b"GIF89a" + bytes(100), 415, "invalid_picture"),
        (b"RIFF\x00\x00\x00\x00WEBP", 415, "invalid_picture"),
        (b"RIFF\x00\x00\x00\x00WEBPVP9 " + bytes(40), 415, "invalid_picture"),
        (_file("GIF"), 415, "invalid_picture"),
        (_file("PNG", (1000, 501)), 413, "picture_too_large"),
        (_file("JPEG", (1000, 501)), 413, "picture_too_large"),
        (_file("WEBP", (1000, 501)), 413, "picture_too_large"),
        (_file("WEBP", (1000, 501), lossless=True), 413, "picture_too_large"),
        (_file("JPEG") + bytes(100_000), 413, "picture_too_large"),
        (_file("PNG", (200, 8)), 400, "picture_too_small"),
    ],
)
def test_what_cannot_be_used_is_refused_before_it_is_decoded(
    data: bytes, status: int, code: str
) -> None:
    with pytest.raises(ClientError) as refused:
        still(data, LIMITS)
    assert (refused.value.status, refused.value.code) == (status, code)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [(10_000, 10_000), (30_000, 30_000)])
def test_a_header_that_promises_more_than_pillow_likes_is_refused_in_our_words(
    size: tuple[int, int],
) -> None:
    head = struct.pack(">4sIIBBBBB", b"IHDR", *size, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))
    png += b"\0\0\0\0IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    with pytest.raises(ClientError, match=f"{size[0]}×{size[1]} pixels"):
        still(png, LIMITS)


def test_a_jpeg_of_many_scans_is_refused() -> None:
    whole = _file("JPEG", progressive=True)
    last = whole.rindex(b"\xff\xda")
    many = whole[:last] + whole[last:-2] * 100 + whole[-2:]
    with pytest.raises(ClientError, match="at most 64") as refused:
        still(many, LIMITS)
    assert refused.value.status == 413


def test_a_header_that_promises_four_gigapixels_takes_no_memory() -> None:
    huge = b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10)
    huge += bytes(4) + b"\xff\xff\x00" * 2 + bytes(20)
    with pytest.raises(ClientError, match="65536×65536 pixels"):
        still(huge, LIMITS)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_half_a_picture_is_damaged(kind: str) -> None:
    random = np.random.default_rng(0).integers(0, 256, (90, 90, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(random).save(buffer, kind)
    whole = buffer.getvalue()
    with pytest.raises(ValueError, match="damaged"):
        still(whole[: len(whole) // 2], LIMITS).pixels(10**6)


_FILES = [_file("JPEG"), _file("PNG"), _file("WEBP"), _file("WEBP", lossless=True)]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(_FILES), st.data())
def test_no_damage_does_any_harm(whole: bytes, data: st.DataObject) -> None:
    broken = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for _ in range(data.draw(st.integers(0, 8))):
        if broken:
            broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    try:
        pixels = still(bytes(broken), LIMITS).pixels(4096)
    except ClientError as error:
        assert error.status in (400, 413, 415)
    except ValueError as error:
        assert "damaged" in str(error)
    else:
        assert pixels.ndim == 3 and pixels.shape[2] == 3


def test_a_data_url_is_the_picture_and_no_other_url_is_fetched() -> None:
    text = base64.b64encode(_file("PNG")).decode()
    assert still_of_url(f"data:image/png;base64,{text}", LIMITS).width == 64
    for url in ("https://example.org/a.jpg", "http://127.0.0.1/a", "file:///etc/passwd", "", text):
        with pytest.raises(ClientError, match="not fetched") as refused:
            still_of_url(url, LIMITS)
        assert refused.value.code == "unsupported_picture_url"
    for broken in ("data:image/png;base64,@@", "data:image/png;base64,AAA"):
        with pytest.raises(ClientError) as refused:
            still_of_url(broken, LIMITS)
        assert refused.value.code == "invalid_picture"
    with pytest.raises(ClientError, match="100000 bytes"):
        still_of_url("data:image/png;base64," + "A" * 140_000, LIMITS)
