"""VP8's frames come out of payloads as they went in, or not at all."""

import pytest

from server.rtp_payload import BrokenPayload, Depacketizer
from server.rtp_vp8 import Vp8

KEY = b"\x10\x02\x00\x9d\x01\x2a" + bytes(8)


def _frame(codec: Depacketizer, *payloads: bytes, whole: bool = True) -> tuple[bytes, bool] | None:
    codec.begin(whole=whole)
    for payload in payloads:
        codec.add(payload)
    return codec.end()


def test_vp8_frames_and_their_descriptors() -> None:
    assert _frame(Vp8(), b"\x10" + KEY[:4], b"\x00" + KEY[4:]) == (KEY, True)
    extended = b"\x90\xf0\x81\x02\x03\x04"  # two bytes of PictureID, TL0PICIDX, TID and KEYIDX
    assert _frame(Vp8(), extended + b"\x11\x02\x03") == (b"\x11\x02\x03", False)
    assert _frame(Vp8(), b"\x90\x80\x01" + b"\x11\x02\x03") == (b"\x11\x02\x03", False)
    assert _frame(Vp8(), b"\x10\x11\x02", b"\x01\x03") == (b"\x11\x02\x03", False)  # partitions
    assert _frame(Vp8()) is None


@pytest.mark.parametrize(
    "payloads",
    [
        [b"\x00\x11\x02\x03"],
        [b"\x11\x11\x02\x03"],  # the second partition
        [b"\x10\x11\x02", b"\x10\x11\x02"],
        [b"\x10"],
        [b"\x90\xf0\x81"],
        [b"\x10" + KEY[:3] + b"nop" + bytes(8)],
        [b"\x10" + KEY[:6]],
    ],
)
def test_broken_vp8_is_refused(payloads: list[bytes]) -> None:
    with pytest.raises(BrokenPayload):
        _frame(Vp8(), *payloads)
