"""VP8 out of RTP payloads (RFC 7741)."""

from server.rtp_payload import MOST_FRAME_BYTES, BrokenPayload


class Vp8:
    """RFC 7741: section 4.2 is the payload descriptor, 4.3 the header."""

    def __init__(self) -> None:
        self.begin(whole=False)

    def begin(self, *, whole: bool) -> None:
        # The descriptor says by itself where a frame begins.
        self._parts: list[bytes] = []
        self._bytes = 0

    def add(self, payload: bytes) -> None:
        if not payload:
            return
        first = payload[0] & 0x10 and not payload[0] & 0x07
        if bool(first) == bool(self._parts):
            raise BrokenPayload("a frame has no beginning, or two")
        part = payload[_descriptor_bytes(payload) :]
        if not part:
            raise BrokenPayload("a payload descriptor without a payload")
        self._bytes += len(part)
        if self._bytes > MOST_FRAME_BYTES:
            raise BrokenPayload(f"a frame of more than {MOST_FRAME_BYTES} bytes")
        self._parts.append(part)

    def end(self) -> tuple[bytes, bool] | None:
        frame = b"".join(self._parts)
        if not frame:
            return None
        key = not frame[0] & 1
        # RFC 6386, section 9.1: the start code, then width and height.
        if len(frame) < (10 if key else 3) or (key and frame[3:6] != b"\x9d\x01\x2a"):
            raise BrokenPayload("the frame's header is none of VP8's")
        return frame, key


def _descriptor_bytes(payload: bytes) -> int:
    size = 1
    if payload[0] & 0x80:
        fields = payload[1] if len(payload) > 1 else 0
        size = 2
        if fields & 0x80:  # PictureID, of one byte or two
            size += 2 if len(payload) > size and payload[size] & 0x80 else 1
        size += bool(fields & 0x40)  # TL0PICIDX
        size += bool(fields & 0x30)  # TID, KEYIDX
    return size
