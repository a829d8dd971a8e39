"""H.265 out of RTP payloads."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.rtp_h265 import H265
from server.rtp_payload import BrokenPayload

START = b"\0\0\0\1"


def unit(kind: int, content: bytes = b"\x80abc") -> bytes:
    return bytes([kind << 1, 1]) + content


VPS, SPS, PPS, IDR, TRAIL = (unit(kind) for kind in (32, 33, 34, 19, 1))


def fragments(whole: bytes, size: int) -> list[bytes]:
    kind, content = whole[0] >> 1, whole[2:]
    parts = [content[at : at + size] for at in range(0, len(content), size)]
    return [
        bytes([49 << 1, 1, kind | 0x80 * (at == 0) | 0x40 * (at == len(parts) - 1)]) + part
        for at, part in enumerate(parts)
    ]


def aggregate(*units: bytes) -> bytes:
    return bytes([48 << 1, 1]) + b"".join(len(u).to_bytes(2, "big") + u for u in units)


def frame(
    payloads: list[bytes], h265: H265 | None = None, *, whole: bool = True
) -> tuple[bytes, bool] | None:
    h265 = h265 or H265()
    h265.begin(whole=whole)
    for payload in payloads:
        h265.add(payload)
    return h265.end()


@given(st.binary(min_size=2, max_size=400), st.integers(1, 399))
def test_a_fragmented_unit_is_put_together(content: bytes, size: int) -> None:
    whole = unit(19, b"\x80" + content)
    made = frame([aggregate(VPS, SPS), PPS, *fragments(whole, min(size, len(content)))])
    assert made == (b"".join(START + u for u in (VPS, SPS, PPS, whole)), True)


def test_keyframes_get_the_parameter_sets_of_the_description() -> None:
    h265 = H265((VPS, SPS, PPS))
    assert frame([IDR], h265) == (b"".join(START + u for u in (VPS, SPS, PPS, IDR)), True)
    assert frame([TRAIL], h265) == (START + TRAIL, False)


def test_only_a_slice_is_a_picture() -> None:
    assert frame([VPS, SPS, PPS]) is None


@pytest.mark.parametrize(
    "payloads",
    [
        [b"\x80\1\0"], [unit(50)], [aggregate(VPS)[:-1]], [aggregate(aggregate(VPS))],
        fragments(IDR, 1)[:-1], fragments(IDR, 1)[1:], [fragments(IDR, 1)[0], VPS],
    ],
)  # fmt: skip
def test_what_is_not_whole_is_refused(payloads: list[bytes]) -> None:
    with pytest.raises(BrokenPayload):
        frame(payloads)


def test_a_frame_whose_beginning_was_lost_is_refused() -> None:
    assert frame([VPS, SPS, PPS, IDR], whole=False)
    for begun_late in ([unit(19, b"\0abc")], [TRAIL]):
        with pytest.raises(BrokenPayload):
            frame(begun_late, whole=False)


@given(st.lists(st.binary(max_size=40)), st.booleans())
def test_nothing_else_is_ever_raised(payloads: list[bytes], whole: bool) -> None:
    with contextlib.suppress(BrokenPayload):
        frame(payloads, whole=whole)
