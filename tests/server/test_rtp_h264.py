"""H.264's NAL units come out of payloads as they went in, or not at all."""

import pytest

from server.rtp_h264 import H264
from server.rtp_payload import BrokenPayload, Depacketizer, MissingParameterSets

SPS, PPS, IDR, SLICE = b"\x67sps", b"\x68pps", b"\x65\x88idr", b"\x41\x9aslice"
START = b"\0\0\0\1"


def _frame(codec: Depacketizer, *payloads: bytes, whole: bool = True) -> tuple[bytes, bool] | None:
    codec.begin(whole=whole)
    for payload in payloads:
        codec.add(payload)
    return codec.end()


def _fragments(unit: bytes, size: int) -> list[bytes]:
    """RFC 6184, section 5.8."""
    indicator, kind, rest = unit[0] & 0xE0 | 28, unit[0] & 0x1F, unit[1:]
    parts = [rest[n : n + size] for n in range(0, len(rest), size)]
    flags = [0x80, *[0] * (len(parts) - 2), 0x40]
    return [bytes([indicator, flag | kind]) + part for flag, part in zip(flags, parts, strict=True)]


def _aggregate(*units: bytes) -> bytes:
    return b"\x78" + b"".join(len(unit).to_bytes(2, "big") + unit for unit in units)


def test_single_units_fragments_and_aggregates_make_one_frame() -> None:
    large = b"\x65\x88" + bytes(range(200))
    found = _frame(H264(), _aggregate(SPS, PPS), *_fragments(large, 70))
    assert found == (START + SPS + START + PPS + START + large, True)
    assert _frame(H264(), SLICE) == (START + SLICE, False)


def test_parameter_sets_alone_are_no_picture_and_are_kept() -> None:
    codec = H264()
    assert _frame(codec, SPS, PPS) is None
    assert _frame(codec, IDR) == (START + SPS + START + PPS + START + IDR, True)


def test_parameter_sets_come_from_the_sdp() -> None:
    found = _frame(H264((SPS, PPS)), IDR, whole=False)
    assert found == (START + SPS + START + PPS + START + IDR, True)


def test_a_keyframe_without_parameter_sets_is_told_apart() -> None:
    with pytest.raises(MissingParameterSets):
        _frame(H264(), IDR)
    with pytest.raises(MissingParameterSets):
        _frame(H264(), PPS, IDR)


def test_a_frame_whose_beginning_may_be_missing_must_be_a_keyframe_from_its_first_slice() -> None:
    codec = H264((SPS, PPS))
    with pytest.raises(BrokenPayload):
        _frame(codec, SLICE, whole=False)
    with pytest.raises(BrokenPayload):
        _frame(codec, b"\x65\x08second slice", whole=False)
    assert _frame(codec, IDR, whole=False)
    assert _frame(codec, SPS, PPS, IDR, whole=False)
    with pytest.raises(BrokenPayload):  # from here on an SPS that is not there was lost
        _frame(codec, IDR, whole=False)


@pytest.mark.parametrize(
    "payloads",
    [
        [_fragments(IDR, 2)[1]],  # no beginning
        [_fragments(IDR, 2)[0]],  # no end
        [_fragments(IDR, 2)[0], SLICE],
        [_fragments(IDR, 2)[0], _fragments(IDR, 2)[0]],
        [_fragments(IDR, 2)[0], b"\x7c\x41xx"],  # another type
        [b"\x7c\xc5xx"],  # beginning and end
        [b"\x7c\x85"],  # of nothing
        [b"\x78\x00\x09abc"],  # aggregate cut off
        [b"\x78\x00\x00"],
        [_aggregate(b"\x7cx")],  # a fragment in an aggregate
        [b"\x79\x00\x00"],  # STAP-B
        [b"\xe5damaged"],
    ],
)
def test_broken_h264_is_refused(payloads: list[bytes]) -> None:
    with pytest.raises(BrokenPayload):
        _frame(H264((SPS, PPS)), *payloads)


def test_reserved_types_are_passed_over() -> None:
    assert _frame(H264(), b"\x00x", b"\x1ex", SLICE, b"\x1fx") == (START + SLICE, False)
