"""JPEG out of RTP payloads: the file that comes out shows what went in."""

import contextlib
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from server.rtp_payload import BrokenPayload
from server.rtsp_jpeg import Jpeg
from tests.server.clients import picture
from tests.server.scripted_rtsp import jpeg_payload


def frame(payloads: list[bytes], jpeg: Jpeg | None = None) -> tuple[bytes, bool] | None:
    jpeg = jpeg or Jpeg()
    jpeg.begin(whole=True)
    for payload in payloads:
        jpeg.add(payload)
    return jpeg.end()


def colours(quality: int) -> tuple[bytes, np.ndarray]:
    """A coloured file of 64×48, and what it shows."""
    rows, columns = np.mgrid[:48, :64]
    pixels = np.stack([rows * 5, columns * 4, rows + columns], 2).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return file.getvalue(), np.asarray(Image.open(file))


def shown(made: tuple[bytes, bool] | None) -> np.ndarray:
    assert made is not None and made[1]
    return np.asarray(Image.open(io.BytesIO(made[0])))


def split(payload: bytes, header: int, size: int) -> list[bytes]:
    """Over several packets; the later ones repeat 8 bytes of the header, with their place."""
    parts = [payload[: header + size]]
    for at in range(size, len(payload) - header, size):
        place = at.to_bytes(4, "big")
        parts.append(place + payload[4:8] + payload[header + at : header + at + size])
    return parts


@pytest.mark.parametrize("quality", [40, 75, 95])
def test_with_tables_of_its_own(quality: int) -> None:
    file, pixels = colours(quality)
    payload = jpeg_payload(file)
    assert np.array_equal(shown(frame([payload])), pixels)
    assert np.array_equal(shown(frame(split(payload, 8 + 4 + 128, 100))), pixels)


@pytest.mark.parametrize("quality", [1, 30, 50, 80, 99])
def test_with_the_standards_tables(quality: int) -> None:
    """libjpeg's quality is RFC 2435's."""
    file, pixels = colours(quality)
    payload = jpeg_payload(file)
    payload = payload[:5] + bytes([quality]) + payload[6:8] + payload[8 + 4 + 128 :]
    assert np.array_equal(shown(frame([payload])), pixels)


def test_tables_that_were_sent_before_are_kept() -> None:
    jpeg = Jpeg()
    payload = jpeg_payload(picture(90))
    payload = payload[:5] + b"\x81" + payload[6:]
    shown(frame([payload], jpeg))
    short = payload[:8] + b"\0\0\0\0" + payload[8 + 4 + 128 :]
    assert shown(frame([short], jpeg)).mean() == pytest.approx(90, abs=2)
    with pytest.raises(BrokenPayload, match="tables"):
        frame([short])


def test_a_picture_of_which_a_part_is_missing_is_refused() -> None:
    parts = split(jpeg_payload(colours(90)[0]), 8 + 4 + 128, 100)
    for missing in (0, 1):
        with pytest.raises(BrokenPayload):
            frame(parts[:missing] + parts[missing + 1 :])


@given(st.lists(st.binary(max_size=200)))
def test_nothing_else_is_ever_raised(payloads: list[bytes]) -> None:
    with contextlib.suppress(BrokenPayload):
        frame(payloads)
