"""Whatever the codec, frames have bounds, and any bytes make frames or are refused."""

from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.rtp_depacketizer import depacketizer
from server.rtp_packet import parse
from server.rtp_payload import MOST_FRAME_BYTES, BrokenPayload
from tests.server.rtp_stream import stream


@pytest.mark.parametrize("codec", ["H264", "VP8"])
def test_a_frame_has_bounds(codec: Literal["H264", "VP8"]) -> None:
    frames = depacketizer(codec)
    first = b"\x10\x11\x02" if codec == "VP8" else b"\x41\x9aslice"
    more = (b"\x00" if codec == "VP8" else b"\x41\x1a") + bytes(60_000)
    with pytest.raises(BrokenPayload):
        for payload in (first, *[more] * (MOST_FRAME_BYTES // 60_000 + 1)):
            frames.add(payload)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_any_payloads_make_frames_or_are_refused(data: st.DataObject) -> None:
    codec = data.draw(st.sampled_from(["H264", "VP8"]))
    real = [parse(packet).payload for packet in stream(codec).packets[:30]]
    one = depacketizer(codec)
    for _ in range(data.draw(st.integers(1, 8))):
        payload = bytearray(data.draw(st.one_of(st.binary(max_size=60), st.sampled_from(real))))
        for at, byte in data.draw(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 255)))):
            if at < len(payload):
                payload[at] = byte
        try:
            one.add(bytes(payload))
            if data.draw(st.booleans()):
                one.end()
                one.begin(whole=data.draw(st.booleans()))
        except BrokenPayload:
            one.begin(whole=True)
